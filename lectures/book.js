// The book's keys and its light or dark. Loaded in the head, so that a page is never shown in the wrong colours first.
"use strict";

const keeper = {                        // a browser may refuse to remember anything for files
  get() { try { return localStorage.getItem("theme"); } catch { return null; } },
  set(theme) { try { localStorage.setItem("theme", theme); } catch { /* then it holds for this page */ } },
};

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function follow(rel) {
  const link = document.querySelector(`a[rel=${rel}]`);
  if (link) link.click();
}

if (keeper.get()) document.documentElement.dataset.theme = keeper.get();

addEventListener("keydown", event => {
  // in a player the arrows are the player's
  if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || event.target.closest?.("audio")) return;
  const action = { ArrowLeft: "prev", ArrowRight: "next", c: "contents" }[event.key];
  if (!action) return;
  event.preventDefault();
  follow(action);
});

addEventListener("DOMContentLoaded", () => {
  document.getElementById("theme").addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    keeper.set(theme);
  });
});

// On paper nothing is folded.
addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach(folded => {
  folded.open = true;
  addEventListener("afterprint", () => { folded.open = false; }, { once: true });
}));
