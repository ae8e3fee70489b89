// Comfort only: the page does all of its work without this file.
"use strict";

const box = document.getElementById("q");
const options = document.getElementById("suggestions");
const titles = () => Array.from(document.querySelectorAll(".hit h2 a"));
const typing = (element) => element.matches("input:not([type=checkbox]), textarea, select");

if (box && box === document.activeElement) box.setSelectionRange(box.value.length, box.value.length);

// "/" to the search box; j and k, or arrows, from hit to hit; digits grade the hit in judge mode.
document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const from = event.target;
  const hit = from.closest(".hit");
  if (event.key === "/" && box && !typing(from)) {
    box.focus();
    box.select();
  } else if (event.key === "Escape") {
    const open = document.querySelector(".languages[open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
  } else if (event.key === "ArrowDown" && ((from === box && !options.childElementCount) || hit)) {
    if (!move(from, 1)) return;
  } else if (event.key === "ArrowUp" && hit) {
    move(from, -1);
  } else if ((event.key === "j" || event.key === "k") && !typing(from)) {
    if (!move(from, event.key === "j" ? 1 : -1)) return;
  } else if (/^[0-9]$/.test(event.key) && hit) {
    const button = hit.querySelector(`.judge [aria-keyshortcuts="${event.key}"]`);
    if (!button) return;
    button.click();
  } else {
    return;
  }
  event.preventDefault();
});

function move(from, step) {
  const all = titles();
  if (!all.length) return false;
  const hit = from.closest(".hit");
  const at = hit ? all.indexOf(hit.querySelector("h2 a")) : step > 0 ? -1 : 0;
  if (at + step < 0) {
    if (box) box.focus();
    return true;
  }
  const next = all[Math.min(at + step, all.length - 1)];
  next.focus({ preventScroll: true });
  next.closest(".hit").scrollIntoView({ block: "nearest" });
  return true;
}

// The language list closes when one clicks beside it.
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll(".languages[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});

// A grade is sent without leaving the page, and what became of it is said aloud.
const said = document.createElement("p");
said.className = "said";
said.setAttribute("role", "status");
said.setAttribute("aria-live", "polite");
if (document.querySelector(".judge")) document.body.append(said);

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches(".judge") || !event.submitter) return;
  event.preventDefault();
  const button = event.submitter;
  const data = new FormData(form, button);
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(data),
      headers: { Accept: "application/json" },
    });
    const result = await answer.json();
    if (!answer.ok) throw new Error(result.error.message);
    for (const other of form.querySelectorAll("button")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    said.textContent = `Graded ${button.textContent.trim()}. ${result.judged} in the file.`;
    said.classList.remove("failed");
  } catch (error) {
    said.textContent = `The grade was not kept: ${error.message}`;
    said.classList.add("failed");
  }
});

// Suggestions as one types: one's last queries, which stay in this browser, then what the index offers.
const RECENT = "tandem.recent";
let typed = 0;

function recent() {
  try {
    const kept = JSON.parse(localStorage.getItem(RECENT) || "[]");
    return Array.isArray(kept) ? kept.filter((query) => typeof query === "string") : [];
  } catch {
    return []; // storage is switched off, or holds something else
  }
}

function offer(queries) {
  options.replaceChildren(
    ...[...new Set(queries)].slice(0, 10).map((query) => {
      const option = document.createElement("option");
      option.value = query;
      return option;
    }),
  );
}

async function suggest() {
  const text = box.value;
  const mine = recent().filter((query) => query.toLowerCase().startsWith(text.toLowerCase()));
  const now = ++typed;
  if (text.trim().length < 2) return offer(mine);
  try {
    const answer = await fetch(`${box.dataset.suggest}?${new URLSearchParams({ q: text })}`);
    const found = answer.ok ? (await answer.json()).suggestions : [];
    if (now === typed) offer([...mine.slice(0, 3), ...found]);
  } catch {
    offer(mine); // the server is away; the search itself will say so
  }
}

if (box && options) {
  let waiting = 0;
  box.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(suggest, 120);
  });
  box.addEventListener("focus", () => offer(box.value ? [] : recent()));
  if (box === document.activeElement && !box.value) offer(recent());
  box.form.addEventListener("submit", () => {
    const query = box.value.trim();
    if (!query) return;
    try {
      localStorage.setItem(RECENT, JSON.stringify([query, ...recent().filter((one) => one !== query)].slice(0, 10)));
    } catch {
      // storage is switched off
    }
  });
}

// The last queries as links on the home page, with a button that forgets them.
const home = document.querySelector("body.home main, .home main");
if (home && recent().length) {
  const section = document.createElement("section");
  section.className = "recent";
  section.setAttribute("aria-label", "Recent queries");
  const list = document.createElement("p");
  list.append("Recent: ");
  for (const query of recent().slice(0, 5)) {
    const link = document.createElement("a");
    link.href = `${box.form.getAttribute("action")}?${new URLSearchParams({ q: query })}`;
    link.dir = "auto";
    link.textContent = query;
    list.append(link, " ");
  }
  const forget = document.createElement("button");
  forget.type = "button";
  forget.className = "plain";
  forget.textContent = "Forget them";
  forget.addEventListener("click", () => {
    localStorage.removeItem(RECENT);
    section.remove();
    offer([]);
    box.focus();
  });
  list.append(forget);
  section.append(list);
  home.prepend(section);
}
