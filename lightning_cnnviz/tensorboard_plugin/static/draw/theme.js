// Light or dark, as TensorBoard is; where the page stands alone, as the system is.
import { host } from "./host.js";

/** How the page looks: canvases are drawn anew when `key` changes. */
export const appearance = {
	get dark() {
		return document.documentElement.dataset.theme === "dark";
	},
	get pixelRatio() {
		return window.devicePixelRatio || 1;
	},
	get key() {
		return `${this.dark} ${this.pixelRatio}`;
	},
};

const variables = new Map(); // as they are in this theme: to ask for one after a change styles the whole page at once

/** The value of a variable of the style sheet, for canvases. */
export function cssVariable(name) {
	if (!variables.has(name)) {
		variables.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
	}
	return variables.get(name);
}

/** Keeps `data-theme` of the page right, and says when it changes. */
export function followTheme(onChange) {
	const system = window.matchMedia("(prefers-color-scheme: dark)");
	const outer = host === window ? null : host.document.body;
	const apply = () => {
		const dark = outer ? outer.classList.contains("dark-mode") : system.matches;
		const theme = dark ? "dark" : "light";
		if (document.documentElement.dataset.theme === theme) return;
		document.documentElement.dataset.theme = theme;
		variables.clear();
		onChange();
	};
	if (outer) new MutationObserver(apply).observe(outer, { attributes: true, attributeFilter: ["class"] });
	else system.addEventListener("change", apply);
	apply();
}
