// The page as a file: the tab's own code on the data that the file carries.
import { colourTables, runs } from "./data/embedded.js";
import { colours } from "./draw/colours.js";
import { h } from "./draw/dom.js";
import { App } from "./index.js";

const OLD = "This page needs a browser of 2023 or later: Chrome or Edge 105, Firefox 113, Safari 17.4.";

if ("DecompressionStream" in window) {
	Object.assign(colours, colourTables());
	const app = new App();
	const [, other] = (await runs()).runs;
	if (app.state.values.run === undefined) app.state.values.compare ??= other?.name;
	await app.poll();
} else {
	document.body.replaceChildren(h("p", "error", OLD));
}
