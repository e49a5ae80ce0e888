// What the keys do, in a dialog.
import { h } from "../draw/dom.js";

const KEYS = [
	["Space", "play and pause"],
	["← →", "previous and next step"],
	["Home End", "first and newest step"],
	["?", "this page"],
	["Tab", "from picture to picture"],
	["Arrow keys in a picture", "channel, layer or sample"],
	["Enter in the projection", "follow the sample"],
	["Shift + click on a class", "show it, too"],
];

export class Help {
	/** `showTour` begins the tour. */
	constructor(showTour) {
		const close = () => this.element.close();
		const tour = () => {
			close();
			showTour();
		};
		this.element = h(
			"dialog",
			{ class: "help", "aria-label": "Keys" },
			h("h2", "", "Keys"),
			h("dl", "", ...KEYS.flatMap(([keys, words]) => [h("dt", "", keys), h("dd", "", words)])),
			h("div", "buttons", h("button", { onclick: tour }, "Show the tour"), h("button", { onclick: close }, "Close")),
		);
	}

	toggle() {
		if (this.element.open) this.element.close();
		else this.element.showModal();
	}
}
