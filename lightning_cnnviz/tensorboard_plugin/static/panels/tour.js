// A short tour of the page, for those who see it for the first time.
import { h } from "../draw/dom.js";

const SEEN = "cnnviz.toured";
const STOPS = [
	[".timeline", "All pictures are at one step. Drag the handle, press Space to play, ← and → to go step by step."],
	[".network", "Click a layer to look inside. Its colour tells how its gradients are at this step."],
	[".layer", "What the layer has learnt. Below, one channel through the whole training."],
	[".projection", "Every point is a sample, coloured by its class. Click one, or draw around some, to follow them."],
	[".gradients", "Gradients of all layers at all steps. A click on a cell opens that layer at that step."],
];

export class Tour {
	constructor() {
		this.words = h("p");
		this.next = h("button", { onclick: () => this.show(this.stop + 1) }, "Next");
		const skip = h("button", { onclick: () => this.end() }, "Skip");
		const buttons = h("div", "buttons", this.next, skip);
		this.element = h("aside", { class: "tour", "aria-label": "A short tour", hidden: true }, this.words, buttons);
	}

	/** Begins where nobody has seen the tour in this browser. */
	offer() {
		try {
			if (localStorage.getItem(SEEN)) return;
		} catch {
			return; // what cannot be kept would be offered again and again
		}
		this.begin();
	}

	begin() {
		this.stops = STOPS.filter(([place]) => document.querySelector(place)?.checkVisibility());
		this.show(0);
	}

	show(stop) {
		this.marked?.classList.remove("toured");
		if (stop >= this.stops.length) return this.end();
		this.stop = stop;
		const [place, words] = this.stops[stop];
		this.marked = document.querySelector(place);
		this.marked?.classList.add("toured");
		this.marked?.scrollIntoView({ block: "nearest" });
		const isLast = stop + 1 === this.stops.length;
		this.words.textContent = `${stop + 1} of ${this.stops.length}: ${words}${isLast ? " Press ? for the keys." : ""}`;
		this.next.textContent = isLast ? "Done" : "Next";
		this.element.hidden = false;
		return undefined;
	}

	end() {
		this.marked?.classList.remove("toured");
		this.element.hidden = true;
		try {
			localStorage.setItem(SEEN, "1");
		} catch {
			// Then it is offered again.
		}
	}
}
