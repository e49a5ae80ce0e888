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
	/** Whether the window is low: pictures are smaller then, so that what is needed is seen without scrolling. */
	get low() {
		return lowWindow.matches;
	},
	get key() {
		return `${this.dark} ${this.pixelRatio} ${this.low} ${forcedColours.matches}`;
	},
};

const lowWindow = window.matchMedia("(max-height: 800px)");

/** Whether the system replaces the colours of pages by a few of its own, for those who see little. */
const forcedColours = window.matchMedia("(forced-colors: active)");

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
	const change = () => {
		variables.clear();
		onChange();
	};
	const apply = () => {
		const dark = outer ? outer.classList.contains("dark-mode") : system.matches;
		const theme = dark ? "dark" : "light";
		if (document.documentElement.dataset.theme === theme) return;
		document.documentElement.dataset.theme = theme;
		change();
	};
	if (outer) new MutationObserver(apply).observe(outer, { attributes: true, attributeFilter: ["class"] });
	else system.addEventListener("change", apply);
	for (const query of [forcedColours, lowWindow]) query.addEventListener("change", change);
	apply();
}
