// The whole script of the page: it opens the event stream, swaps the screen,
// posts presses, and filters what a kiosk's keyboard and mouse must not do. It
// keeps nothing: a reload shows the same screen again.
"use strict";
(() => {
  const stage = document.getElementById("stage");
  const say = document.getElementById("say");
  let source = null;
  let busy = false; // a press is on its way: the next one would be a double tap

  const screen = () => document.getElementById("screen");

  // sync makes have look like want in place, so that focus and running pictures
  // stay where nothing changed.
  function sync(have, want) {
    if (have.nodeType !== want.nodeType || have.nodeName !== want.nodeName) {
      have.replaceWith(want);
      return;
    }
    if (have.nodeType === Node.TEXT_NODE) {
      if (have.data !== want.data) have.data = want.data;
      return;
    }
    if (have.nodeType !== Node.ELEMENT_NODE) return;
    for (const a of [...have.attributes]) if (!want.hasAttribute(a.name)) have.removeAttribute(a.name);
    for (const a of want.attributes) if (have.getAttribute(a.name) !== a.value) have.setAttribute(a.name, a.value);
    const old = [...have.childNodes];
    const fresh = [...want.childNodes];
    fresh.forEach((n, i) => (i < old.length ? sync(old[i], n) : have.append(n)));
    old.slice(fresh.length).forEach((n) => n.remove());
  }

  function show(html) {
    const parsed = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
    const next = document.importNode(parsed, true);
    const now = screen();
    const same = now && now.dataset.screen === next.dataset.screen && now.dataset.lang === next.dataset.lang && now.dataset.large === next.dataset.large;
    const root = document.documentElement;
    root.lang = next.dataset.lang;
    root.classList.toggle("large", next.dataset.large === "true");
    busy = false;
    if (same) {
      sync(now, next);
      return;
    }
    stage.replaceChildren(next);
    next.querySelector("main").focus({ preventScroll: true });
    const told = next.querySelector("[role=alert], [role=status], h1");
    say.textContent = told ? told.textContent : "";
  }

  function wipe() {
    stage.replaceChildren();
    say.textContent = "";
    busy = false;
  }

  function open() {
    if (source) source.close();
    source = new EventSource(`/events?w=${innerWidth}&h=${innerHeight}`);
    source.addEventListener("screen", (e) => show(e.data));
    source.addEventListener("wipe", wipe);
    // Another page took over: this one goes blank and stays so.
    source.addEventListener("gone", () => { source.close(); wipe(); document.body.replaceChildren(); });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 2000);
    });
  }

  async function press(button) {
    const s = screen();
    if (!s || busy || button.disabled) return;
    busy = true;
    const body = new URLSearchParams({
      conn: s.dataset.conn, step: s.dataset.step,
      action: button.dataset.action, value: button.dataset.value || "",
    });
    try {
      await fetch("/press", { method: "POST", body, cache: "no-store" });
    } catch {
      // The server is away. The stream shows the present screen when it is back.
    }
    setTimeout(() => { busy = false; }, 500); // a screen that did not change takes the next touch
  }

  document.addEventListener("click", (e) => {
    const b = e.target.closest("[data-action]");
    if (b) press(b);
  });

  const keys = new Set(["Tab", "Enter", " ", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End", "Shift"]);
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey || !keys.has(e.key)) {
      e.preventDefault();
      e.stopPropagation();
      return;
    }
    if ((e.key === "Enter" || e.key === " ") && e.repeat) e.preventDefault();
    // Enter with nothing chosen presses the main button.
    if (e.key === "Enter" && !e.repeat && !document.activeElement.closest("[data-action]")) {
      const main = stage.querySelector(".btn.main:not(:disabled)");
      if (main) press(main);
    }
  }, true);
  for (const kind of ["contextmenu", "dragstart", "dragover", "drop", "selectstart", "copy", "cut", "paste", "auxclick", "wheel"]) {
    document.addEventListener(kind, (e) => { if (kind !== "wheel" || e.ctrlKey) e.preventDefault(); }, { capture: true, passive: false });
  }

  let resized = 0;
  addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(open, 200); });
  addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });
  if (location.search) history.replaceState(null, "", "/"); // the token leaves the address
  open();
})();
