// Light or dark, as TensorBoard is; where the page stands alone, as the system is.

/** Keeps `data-theme` of the page right, and says when it changes. */
export function followTheme(changed) {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const outer = (() => {
    try {
      return window.parent !== window ? window.parent.document.body : null;
    } catch {
      return null;
    }
  })();
  const apply = () => {
    const dark = outer ? outer.classList.contains("dark-mode") : system.matches;
    const theme = dark ? "dark" : "light";
    if (document.documentElement.dataset.theme === theme) return;
    document.documentElement.dataset.theme = theme;
    changed();
  };
  if (outer) new MutationObserver(apply).observe(outer, { attributes: true, attributeFilter: ["class"] });
  else system.addEventListener("change", apply);
  apply();
}

/** Whether anyone can see the page: TensorBoard hides the frames of other tabs, but lets their timers run. */
export function visible() {
  if (document.hidden) return false;
  return !window.frameElement || getComputedStyle(window.frameElement).visibility !== "hidden";
}
