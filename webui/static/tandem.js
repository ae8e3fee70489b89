// Comfort only: the page does all of its work without this file.
"use strict";

const box = document.getElementById("q");
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
  } else if (event.key === "ArrowDown" && (from === box || hit)) {
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
