// Keeps the page up to date. Without this script, the page shows the same until it is loaded again.
"use strict";

const EVERY = 5_000;
const EVERY_IN_BACKGROUND = 20_000; // a tab in the background shows its title and its icon
const PATIENCE = 10_000;
const TYPING = 250;

const search = document.getElementById("search");
const announcement = document.getElementById("announcement");
const silence = document.getElementById("silence");
const pause = document.getElementById("pause");
const icon = document.getElementById("icon");

let paused = false;
let timer = 0;
let running = null;
let lastAnswer = Date.now();
let lastTime = document.querySelector("#as-of time").textContent;

/** Fetches a page and takes over its live parts. Returns whether this succeeded. */
async function show(url) {
  running?.abort();
  const request = (running = new AbortController());
  const patience = setTimeout(() => request.abort(), PATIENCE);
  try {
    const response = await fetch(url, { signal: request.signal, headers: { Accept: "text/html" } });
    const html = await response.text();
    if (![200, 400, 404].includes(response.status)) throw new Error(`HTTP ${response.status}`);
    adopt(new DOMParser().parseFromString(html, "text/html"));
    return true;
  } catch {
    if (request === running) showSilence();
    return false;
  } finally {
    clearTimeout(patience);
    if (request === running) {
      running = null;
      schedule();
    }
  }
}

function adopt(page) {
  const time = page.querySelector("#as-of time");
  if (!time) throw new Error("not a page of the exporter's");
  const focused = document.activeElement;
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (fresh) morph(part, fresh);
    else part.replaceChildren();
  }
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  document.title = page.title;
  lastAnswer = Date.now();
  lastTime = time.textContent;
  silence.hidden = true;
  document.documentElement.classList.remove("gone");
}

/**
 * Makes one element like another and changes only what differs, so that focus, selection and open details stay. A child
 * with a key is moved, not replaced.
 */
function morph(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.localName === "details")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const wanted = [...fresh.childNodes];
  const known = new Map([...old.children].map((child) => [child.dataset.key, child]));
  wanted.forEach((node, index) => {
    const same = node.dataset?.key && known.get(node.dataset.key);
    if (same && same !== old.childNodes[index]) old.insertBefore(same, old.childNodes[index] ?? null);
    const present = old.childNodes[index];
    if (!present) old.append(node);
    else if (!alike(present, node)) present.replaceWith(node);
    else if (node.nodeType === Node.ELEMENT_NODE) morph(present, node);
    else if (present.data !== node.data) present.data = node.data;
  });
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
}

function alike(one, other) {
  return one.nodeName === other.nodeName && one.dataset?.key === other.dataset?.key;
}

/** Shows that the page is old: at its top, in the title and in the icon; and dims it. */
function showSilence() {
  const seconds = Math.round((Date.now() - lastAnswer) / 1_000);
  const long = seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
  const words = `No answer since ${lastTime}`;
  if (silence.hidden) announcement.textContent = `${words}. Everything on this page is from that time.`;
  silence.textContent = `${words}, ${long} ago. Everything below is from that time and may be wrong now.`;
  silence.hidden = false;
  document.title = `${words} · Live rooms`;
  icon.href = icon.dataset.gone;
  document.documentElement.classList.add("gone");
}

function schedule() {
  clearTimeout(timer);
  if (!paused) timer = setTimeout(() => show(location.href), document.hidden ? EVERY_IN_BACKGROUND : EVERY);
}

/** Shows another selection of rooms, and announces how many there are. */
async function go(url, remember) {
  history[remember](null, "", url);
  if (!(await show(url))) return;
  const found = document.querySelector(".pager .position, .empty #matching-words, .alarm#matching");
  announcement.textContent = found.textContent;
}

let typing = 0;
if (search) {
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => go(searched(), "replaceState"), TYPING);
  });
  search.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    go(searched(), "pushState");
  });
  addEventListener("popstate", () => {
    fill();
    show(location.href);
  });
  // A link to a selection of rooms shows it without leaving the page.
  document.addEventListener("click", async (event) => {
    const link = event.target.closest('a[href^="?"]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    clearTimeout(typing);
    const turns = link.closest(".pager");
    await go(link.getAttribute("href"), "pushState");
    fill();
    document.getElementById("rooms").scrollIntoView();
    if (!turns) document.getElementById("rooms-title").focus({ preventScroll: true });
  });
}

function searched() {
  const given = [...new FormData(search)].filter(([, value]) => value);
  return `?${new URLSearchParams(given)}`;
}

/** Fills the form from the address. */
function fill() {
  const given = new URLSearchParams(location.search);
  for (const field of search.querySelectorAll("input, select")) {
    field.value = given.get(field.name) ?? (field.name === "order" ? field.options[0].value : "");
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused) show(location.href);
});

// After a suspend of the machine the page is old. Not in the background, where browsers delay timers.
setInterval(() => {
  if (!paused && !document.hidden && Date.now() - lastAnswer > EVERY + PATIENCE) showSilence();
}, 1_000);

pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Paused" : "Pause";
  if (paused) clearTimeout(timer);
  else show(location.href);
});

schedule();
