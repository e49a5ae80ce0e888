// Light or dark, as TensorBoard is; where the page stands alone, as the system is.
import { host } from "./state.js";

/** Keeps `data-theme` of the page right, and says when it changes. */
export function followTheme(changed) {
	const system = window.matchMedia("(prefers-color-scheme: dark)");
	const outer = host === window ? null : host.document.body;
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

/** TensorBoard's own typeface, which a frame does not inherit. Its addresses forget the path prefix. */
export function borrowFont() {
	try {
		const rules = [...window.parent.document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
		const faces = rules.filter((rule) => rule instanceof window.parent.CSSFontFaceRule && /Roboto/.test(rule.style.fontFamily));
		const base = window.parent.document.baseURI;
		const text = faces.map((rule) => rule.cssText.replace(/url\("?([^")]+)"?\)/g, (_, url) => `url("${new URL(url.replace(/^\//, ""), base)}")`));
		document.head.append(Object.assign(document.createElement("style"), { textContent: text.join("\n") }));
	} catch {
		// The page stands alone, or the sheets are closed to us: the system's typeface will do.
	}
}

/** Whether anyone can see the page: TensorBoard hides the frames of other tabs, but lets their timers run. */
export function visible() {
	if (document.hidden) return false;
	return !window.frameElement || getComputedStyle(window.frameElement).visibility !== "hidden";
}
