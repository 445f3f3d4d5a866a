"use strict";
// The face of the pad. A key goes to the pad's own server and is kept nowhere; the
// page is told counts only.
(() => {
  const pad = document.querySelector(".pad");
  const $ = (id) => document.getElementById(id);
  const leads = {
    idle: ["请看屏幕提示", "Follow the screen"],
    entry: ["请输入银行卡密码", "Enter your card PIN"],
    sealing: ["请稍候", "One moment"],
    fault: ["密码键盘暂停使用", "PIN pad out of service"],
    lost: ["密码键盘未连接", "PIN pad not connected"],
  };

  const faults = { tamper: "外壳曾被打开，密钥已清除\nOpened: its keys are erased", "no key": "没有密钥\nNo key is loaded" };

  function show(v) {
    pad.dataset.state = v.state;
    const lead = leads[v.state] || leads.fault;
    $("zh").textContent = lead[0];
    $("en").textContent = lead[1];
    $("amount").hidden = !v.amount;
    $("sum").textContent = v.amount ? "￥" + v.amount : "";
    const shown = Math.max(6, v.count || 0);
    $("dots").replaceChildren(...Array.from({ length: shown }, (_, i) => {
      const dot = document.createElement("i");
      if (i < (v.count || 0)) dot.className = "on";
      return dot;
    }));
    $("dots").className = shown > 8 ? "dots many" : "dots";
    $("dots").setAttribute("aria-label", "已输入 " + (v.count || 0) + " 位");
    const hint = $("hint");
    hint.className = v.short ? "hint warn" : "hint";
    if (v.short) hint.textContent = "密码位数不够\nThe PIN is too short";
    else if (v.state === "entry") hint.textContent = "请用手遮挡键盘，输完按确认\nCover the keys with your hand, then press Enter";
    else if (v.state === "fault") hint.textContent = faults[v.fault] || "";
    else hint.textContent = "";
  }

  // One key after the other: two requests at once could change places.
  let last = Promise.resolve();
  function press(k) {
    last = last.then(() => fetch("/key", { method: "POST", body: new URLSearchParams({ k }) }))
      .then((answer) => { if (!answer.ok) throw new Error("key refused"); })
      .catch(() => show({ state: "lost" }));
  }

  for (const b of document.querySelectorAll(".keys button")) {
    b.addEventListener("click", () => press(b.dataset.k));
  }
  const named = { Enter: "enter", Backspace: "clear", Delete: "clear", Escape: "cancel" };
  addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey || e.repeat) return;
    const k = named[e.key] || (/^[0-9]$/.test(e.key) ? e.key : "");
    if (!k) return;
    e.preventDefault();
    press(k);
  });
  addEventListener("contextmenu", (e) => e.preventDefault());

  const events = new EventSource("/events");
  events.onmessage = (e) => show(JSON.parse(e.data));
  events.onerror = () => show({ state: "lost" });
})();
