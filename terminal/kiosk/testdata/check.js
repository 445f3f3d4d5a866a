// Looks at the present screen with the display's rules and returns what is
// wrong, one line each. cap is the smallest cap height in mm, box the smallest
// button in px, mm the size of a pixel, ratio the font's cap height.
((cap, box, mm, ratio) => {
  const bad = [];
  const name = (e) => `${e.tagName.toLowerCase()}.${e.className.baseVal ?? e.className} "${e.textContent.trim().slice(0, 24)}"`;
  const W = innerWidth, H = innerHeight;
  const hidden = (e) => e.closest("#say") || getComputedStyle(e).clipPath !== "none" || getComputedStyle(e.parentElement).clipPath !== "none";
  if (document.documentElement.scrollWidth > W) bad.push(`page scrolls sideways: ${document.documentElement.scrollWidth} > ${W}`);
  const body = document.querySelector("main");
  if (body.scrollHeight > body.clientHeight + 1) bad.push(`body is cut: ${body.scrollHeight} > ${body.clientHeight}`);
  if (body.scrollWidth > body.clientWidth + 1) bad.push(`body scrolls sideways: ${body.scrollWidth} > ${body.clientWidth}`);
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    if (!n.data.trim()) continue;
    const e = n.parentElement;
    if (hidden(e)) continue;
    const range = document.createRange();
    range.selectNodeContents(n);
    const rects = [...range.getClientRects()].filter((r) => r.width > 0 && r.height > 0);
    if (!rects.length) continue; // display: none
    const size = parseFloat(getComputedStyle(e).fontSize);
    if (size * ratio * mm < cap - 0.001) bad.push(`cap height ${(size * ratio * mm).toFixed(2)} mm < ${cap}: ${name(e)}`);
    for (const r of rects) {
      if (r.left < -1 || r.right > W + 1 || r.top < -1 || r.bottom > H + 1) { bad.push(`text leaves the display: ${name(e)}`); break; }
    }
    const holder = e.closest("button, .panel, .sum, .row, .tile, li, dd, .hotline, .demo, .brand");
    if (holder) {
      const h = holder.getBoundingClientRect();
      if (rects.some((r) => r.left < h.left - 1 || r.right > h.right + 1 || r.top < h.top - 6 || r.bottom > h.bottom + 6)) bad.push(`text leaves its box: ${name(e)}`);
    }
  }
  const buttons = [...document.querySelectorAll("button")].filter((b) => b.getClientRects().length);
  const rect = (b) => b.getBoundingClientRect();
  for (const b of buttons) {
    const r = rect(b);
    if (r.width < box - 0.5 || r.height < box - 0.5) bad.push(`button ${Math.round(r.width)}×${Math.round(r.height)} < ${box}: ${name(b)}`);
    if (r.left < 0 || r.right > W || r.top < 0 || r.bottom > H) bad.push(`button leaves the display: ${name(b)}`);
  }
  for (let i = 0; i < buttons.length; i++) for (let j = i + 1; j < buttons.length; j++) {
    const a = rect(buttons[i]), b = rect(buttons[j]);
    const dx = Math.max(a.left - b.right, b.left - a.right), dy = Math.max(a.top - b.bottom, b.top - a.bottom);
    if (Math.max(dx, dy) < 15.5) bad.push(`gap ${Math.max(dx, dy).toFixed(1)} px: ${name(buttons[i])} and ${name(buttons[j])}`);
  }
  const parts = [".demo", ".top .brand", "main", ".under", ".acts", ".foot"].map((s) => document.querySelector(s)).filter((e) => e && rect(e).height > 0 && e.textContent.trim());
  const content = (e) => { // what is really there: the foot and the buttons share a rail
    const all = [...e.querySelectorAll("*")].map(rect).filter((r) => r.width && r.height);
    if (e.matches("main, .demo, .brand") || !all.length) return rect(e);
    return {left: Math.min(...all.map((r) => r.left)), right: Math.max(...all.map((r) => r.right)), top: Math.min(...all.map((r) => r.top)), bottom: Math.max(...all.map((r) => r.bottom))};
  };
  for (let i = 0; i < parts.length; i++) for (let j = i + 1; j < parts.length; j++) {
    const a = content(parts[i]), b = content(parts[j]);
    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) bad.push(`${name(parts[i]).slice(0, 20)} lies on ${name(parts[j]).slice(0, 20)}`);
  }
  if (document.querySelector("input, textarea, select, [contenteditable]")) bad.push("there is an entry field");
  return bad.join("\n");
})
