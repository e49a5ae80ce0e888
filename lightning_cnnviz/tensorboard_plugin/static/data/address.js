// Where what the user chose is kept: in the address of the window. In a notebook the page is a frame without one; there
// the output that shows the page keeps it, and the place that was scrolled to, and hands both on to the next page.
import { host } from "../draw/host.js";

const isFramed = host.location.protocol === "about:";
const SCROLLED = 200; // milliseconds after which a place counts as scrolled to

let kept = "";

/** What is kept, as an address has it behind the `#`. */
export const readAddress = () => (isFramed ? kept : host.location.hash.slice(1));

export function writeAddress(fields) {
	if (!isFramed) {
		host.history.replaceState(host.history.state, "", `#${fields}`);
		return;
	}
	kept = fields;
	tell();
}

/** Calls a function whenever there is another address: a link was pasted, or an earlier page has handed on its own. */
export function listenAddress(changed) {
	if (!isFramed) {
		host.addEventListener("hashchange", changed);
		return;
	}
	window.addEventListener("message", ({ source, data }) => {
		if (source !== window.parent || typeof data?.cnnviz?.fields !== "string") return;
		kept = data.cnnviz.fields;
		document.documentElement.style.overflowAnchor = "none"; // what is drawn above must not move the place away
		document.body.style.minHeight = `${data.cnnviz.top + window.innerHeight}px`; // until the pictures are there
		window.scrollTo(0, data.cnnviz.top);
		changed();
	});
	let timer;
	document.addEventListener("scroll", () => {
		clearTimeout(timer);
		timer = setTimeout(tell, SCROLLED);
	});
	window.parent.postMessage({ cnnviz: null }, "*");
}

function tell() {
	window.parent.postMessage({ cnnviz: { fields: kept, top: window.scrollY } }, "*");
}
