/**
 * The colours: as the system has them, or light, or dark. A classic script in the head, so that a page which was left
 * dark never flashes up light.
 */
(() => {
  "use strict";

  const KEY = "wispy-console-theme";
  const THEMES = ["auto", "light", "dark"];

  /** What was chosen before; a browser may refuse to remember anything. */
  function remembered() {
    try {
      return localStorage.getItem(KEY) ?? "auto";
    } catch {
      return "auto";
    }
  }

  /** @param {string} theme */
  function apply(theme) {
    document.documentElement.dataset.theme = theme;
    const name = document.getElementById("theme-name");
    if (name) {
      name.textContent = theme;
    }
    dispatchEvent(new Event("themechange"));
  }

  let theme = remembered();
  apply(theme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));
  addEventListener("DOMContentLoaded", () => {
    apply(theme);
    document.getElementById("theme")?.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "auto";
      apply(theme);
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // it holds for this page then
      }
    });
  });
})();
