// One channel over time: a canvas on which a step can be chosen, by mouse and by keys.
import { h } from "../draw/dom.js";
import { clamp } from "../draw/scales.js";

/** What strips of pictures, lines and distributions have in common. Each has `draw(shown, index, …)` and `indexAt(x)`. */
export class History {
	constructor(view) {
		Object.assign(this, { view, shown: [] }); // the steps that can be chosen
		this.title = h("h3");
		this.canvas = h("canvas", { tabIndex: 0, role: "application", onclick: this.click, onkeydown: this.navigate });
		this.element = h("div", "history", this.title, this.canvas);
	}

	click = (event) => {
		const step = this.shown[this.indexAt(event.offsetX)];
		if (step !== undefined) this.view.seek(step);
	};

	navigate = (event) => {
		const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
		if (!by) return;
		event.preventDefault();
		event.stopPropagation();
		const at = this.shown.indexOf(this.view.clock.stepIn(this.shown));
		this.view.seek(this.shown[clamp(at + by, 0, this.shown.length - 1)]);
	};

	/** Says what is seen, for those who do not see it, too. */
	describe(title, current) {
		this.title.textContent = title;
		this.canvas.setAttribute("aria-label", `${title}, now at step ${current}. Left and right choose a step.`);
	}
}
