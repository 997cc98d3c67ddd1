// Keeps the figures of the status page up to date. Without this script the page shows the same; reload it then.
"use strict";

const EVERY = 5_000;
const PATIENCE = 10_000;
const TYPING = 250;

const search = document.getElementById("search");
const announcement = document.getElementById("announcement");
const silence = document.getElementById("silence");
const pause = document.getElementById("pause");

let paused = false;
let timer = 0;
let running = null;
let heard = new Date();

/** Fetches a page and takes over its live parts; answers whether it came. */
async function show(url) {
  running?.abort();
  const mine = (running = new AbortController());
  const patience = setTimeout(() => mine.abort(), PATIENCE);
  try {
    const response = await fetch(url, { signal: mine.signal, headers: { Accept: "text/html" } });
    const html = await response.text();
    if (response.status !== 200 && response.status !== 400) throw new Error(`HTTP ${response.status}`);
    adopt(new DOMParser().parseFromString(html, "text/html"));
    heard = new Date();
    silence.hidden = true;
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
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (fresh) morph(part, fresh);
  }
  document.title = page.title;
}

/** Makes one element like another, touching only what differs: focus, selection and open details stay. */
function morph(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.localName === "details")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const wanted = [...fresh.childNodes];
  wanted.forEach((node, index) => {
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

function complain() {
  const words = `The exporter does not answer. These figures are of ${heard.toLocaleTimeString()}.`;
  if (silence.hidden) announcement.textContent = words;
  silence.textContent = words;
  silence.hidden = false;
}

function schedule() {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(() => show(location.href), EVERY);
}

/** Goes to another selection of rooms and says how many there are. */
async function go(url, remember) {
  history[remember](null, "", url);
  if (!(await show(url))) return;
  const found = document.querySelector(".pager .position") ?? document.getElementById("matching");
  announcement.textContent = found.textContent;
}

function searched() {
  const given = [...new FormData(search)].filter(([, value]) => value);
  return `?${new URLSearchParams(given)}`;
}

let typing = 0;
search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => go(searched(), "replaceState"), TYPING);
});
search.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  go(searched(), "pushState");
});

document.getElementById("room-list").addEventListener("click", async (event) => {
  const link = event.target.closest(".pager a[href]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  await go(link.getAttribute("href"), "pushState");
  document.getElementById("rooms").scrollIntoView();
});

addEventListener("popstate", () => {
  const given = new URLSearchParams(location.search);
  for (const field of search.querySelectorAll("input, select")) {
    field.value = given.get(field.name) ?? (field.name === "sort" ? field.options[0].value : "");
  }
  show(location.href);
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden || paused) clearTimeout(timer);
  else show(location.href);
});

pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Paused" : "Pause";
  if (paused) clearTimeout(timer);
  else show(location.href);
});

schedule();
