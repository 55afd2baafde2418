"use strict";
// Light, dark, or as the system has it.
const root = document.documentElement;
const themes = { auto: "light dark", light: "light", dark: "dark" };
function dress(theme) {
  root.style.colorScheme = themes[theme] ?? themes.auto;
  root.dataset.theme = theme;
  document.getElementById("theme").textContent = { auto: "◐ auto", light: "☀ light", dark: "☾ dark" }[theme];
}
let theme = "auto";
try { theme = localStorage.getItem("p2ptk-theme") ?? "auto"; } catch { /* not every viewer keeps things */ }
dress(theme in themes ? theme : "auto");
document.getElementById("theme").addEventListener("click", () => {
  const names = Object.keys(themes);
  const next = names[(names.indexOf(root.dataset.theme) + 1) % names.length];
  dress(next);
  try { localStorage.setItem("p2ptk-theme", next); } catch { /* as above */ }
});

document.querySelectorAll("pre").forEach((block) => {
  if (!navigator.clipboard) return;
  const button = Object.assign(document.createElement("button"), { type: "button", className: "copy", textContent: "copy" });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.querySelector("code").textContent);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1200);
  });
  block.append(button);
});
