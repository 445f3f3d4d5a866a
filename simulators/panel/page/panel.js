// The panel's script: it follows the event stream, posts what is pressed, and
// scales the kiosk's frame to its place.
"use strict";
(() => {
  const toast = document.getElementById("toast");
  const glass = document.querySelector(".glass");
  const fit = () => glass.style.setProperty("--k", glass.clientWidth / 1366);
  new ResizeObserver(fit).observe(glass);
  fit();

  function replace(id, html) {
    const place = document.getElementById(id);
    if (!place) return;
    const at = place.contains(document.activeElement) ? document.activeElement.dataset : null;
    const keys = at ? [at.post, at.id, at.group] : null;
    place.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
    if (!keys) return;
    for (const b of place.querySelectorAll("[data-post]")) {
      if (b.dataset.post === keys[0] && b.dataset.id === keys[1] && b.dataset.group === keys[2]) b.focus();
    }
  }

  const source = new EventSource("/events");
  for (const id of ["steps", "tray", "slot", "paper", "faults", "answers", "messages"]) {
    source.addEventListener(id, (e) => replace(id, e.data));
  }

  let said = 0;
  function say(text) {
    toast.textContent = text;
    clearTimeout(said);
    said = setTimeout(() => { toast.textContent = ""; }, 8000);
  }

  async function post(path, fields) {
    try {
      const res = await fetch(path, {method: "POST", body: new URLSearchParams(fields)});
      if (!res.ok) say(await res.text());
    } catch {
      say("演示程序已停止 the demonstration has stopped");
    }
  }

  const form = document.getElementById("counter");
  const teller = (path) => post(path, {bank: form.elements.bank.value, notice: form.elements.notice.value});

  document.addEventListener("click", (e) => {
    const b = e.target.closest("button");
    if (!b || b.disabled) return;
    if (b.dataset.notice) {
      form.elements.notice.value = b.dataset.notice;
    } else if (b.dataset.teller) {
      teller(b.dataset.teller);
    } else if (b.dataset.post) {
      const {post: path, ...fields} = b.dataset;
      post(path, fields);
    }
  });
  // A scanner types the number and Enter: the notice is looked up at once.
  document.addEventListener("submit", (e) => {
    e.preventDefault();
    teller("/inquire");
  });
})();
