// Keeps what a page shows up to date. Without this script the page shows the same; load it again then.
"use strict";

const EVERY = 5_000;
const EVERY_IN_BACKGROUND = 20_000; // title and icon of a tab in the background are looked at too
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
let heard = Date.now();
let told = document.querySelector("#as-of time").textContent;

/** Fetches a page and takes over its live parts; answers whether it came. */
async function show(url) {
  running?.abort();
  const mine = (running = new AbortController());
  const patience = setTimeout(() => mine.abort(), PATIENCE);
  try {
    const response = await fetch(url, { signal: mine.signal, headers: { Accept: "text/html" } });
    const html = await response.text();
    if (![200, 400, 404].includes(response.status)) throw new Error(`HTTP ${response.status}`);
    adopt(new DOMParser().parseFromString(html, "text/html"));
    return true;
  } catch {
    if (mine === running) complain();
    return false;
  } finally {
    clearTimeout(patience);
    if (mine === running) {
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
  heard = Date.now();
  told = time.textContent;
  silence.hidden = true;
  document.documentElement.classList.remove("gone");
}

/**
 * Makes one element like another, touching only what differs: focus, selection and open details stay. Children with a key
 * are the same ones in another place.
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

/** Everything below is old: says so on top of it, in the title and in the icon, and dims it. */
function complain() {
  const seconds = Math.round((Date.now() - heard) / 1_000);
  const long = seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
  const words = `No answer since ${told}`;
  if (silence.hidden) announcement.textContent = `${words}. Everything on this page is of then.`;
  silence.textContent = `${words}, ${long} ago. Everything below is of then: it may be quite different now.`;
  silence.hidden = false;
  document.title = `${words} · Live rooms`;
  icon.href = icon.dataset.gone;
  document.documentElement.classList.add("gone");
}

function schedule() {
  clearTimeout(timer);
  if (!paused) timer = setTimeout(() => show(location.href), document.hidden ? EVERY_IN_BACKGROUND : EVERY);
}

/** Goes to another selection of rooms and says how many there are. */
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
  // Links to a selection of rooms show it without leaving the page.
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

/** Shows in the form what the address asks for. */
function fill() {
  const given = new URLSearchParams(location.search);
  for (const field of search.querySelectorAll("input, select")) {
    field.value = given.get(field.name) ?? (field.name === "order" ? field.options[0].value : "");
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused) show(location.href);
});

// A machine that slept wakes up with a page of yesterday. In the background, where timers seldom run, this says nothing.
setInterval(() => {
  if (!paused && !document.hidden && Date.now() - heard > EVERY + PATIENCE) complain();
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
