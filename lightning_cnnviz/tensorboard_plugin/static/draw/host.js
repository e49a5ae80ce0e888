// TensorBoard's own window, in which the page is a frame; where the page stands alone, its own.

/** Whether the page is a file: a page in which it is shown is not TensorBoard's. */
const isFile = "report" in document.documentElement.dataset;

/** The window with the address and the theme. */
export const host = (() => {
	if (isFile) return window;
	try {
		return window.parent.location.hash === undefined ? window : window.parent;
	} catch {
		return window;
	}
})();

/** Whether anyone can see the page: TensorBoard hides the frames of other tabs, but lets their timers run. */
export function isVisible() {
	if (document.hidden) return false;
	return !window.frameElement || getComputedStyle(window.frameElement).visibility !== "hidden";
}

/** Takes the keyboard, unless the user does something in TensorBoard itself. */
export function takeFocus() {
	const { activeElement, body } = host.document;
	if (isVisible() && (!activeElement || activeElement === body || activeElement.closest("[role=tab]"))) window.focus();
}

/** Calls `onKey` for keys that are pressed while TensorBoard's own page, and nothing in it, has the keyboard. */
export function listenOutside(onKey) {
	if (host === window) return;
	host.document.addEventListener("keydown", (event) => {
		if (isVisible() && event.target === host.document.body) onKey(event);
	});
}

/** Takes over TensorBoard's typeface, which a frame does not inherit. Its addresses forget the path prefix. */
export function borrowFont() {
	if (host === window) return;
	try {
		const { baseURI, styleSheets } = window.parent.document;
		const rules = [...styleSheets].flatMap((sheet) => [...sheet.cssRules]);
		const faces = rules.filter(
			(rule) => rule instanceof window.parent.CSSFontFaceRule && /Roboto/.test(rule.style.fontFamily),
		);
		const absolute = (_, url) => `url("${new URL(url.replace(/^\//, ""), baseURI)}")`;
		const css = faces.map((rule) => rule.cssText.replace(/url\("?([^")]+)"?\)/g, absolute)).join("\n");
		document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
	} catch {
		// The page stands alone, or the sheets are closed to us: the system's typeface will do.
	}
}
