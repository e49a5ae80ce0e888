// A picture that came with the run, through time; which one, a panel of its own kind says.
import { h, panel, showMessage } from "../draw/dom.js";
import { firstRecorded, frameInWords } from "../draw/format.js";

export class PicturePanel {
	/** `kind` is that of the series, and the class of the element. */
	constructor(view, kind, title, select) {
		Object.assign(this, { view, kind, select });
		this.canvas = h("canvas", { role: "img" });
		this.step = h("span", "aside");
		this.hint = h("p", "hint");
		this.scroller = h("div", "scroller", this.canvas);
		this.element = panel(kind, title, [select, this.step], this.hint, this.scroller);
	}

	get active() {
		return this.view.run.seriesOf(this.kind).length > 0;
	}

	draw() {
		const { run, clock } = this.view;
		const series = this.choose(run.seriesOf(this.kind));
		const step = clock.stepIn(series.steps);
		const frame = run.frame(series, step);
		if (clock.playing) run.prefetch(series, step);
		showMessage(this.hint, step === null ? firstRecorded(series.steps) : frame?.error);
		this.canvas.hidden = !this.hint.hidden;
		const drawn = this.canvas.hidden ? null : this.drawn;
		this.step.textContent = drawn ? frameInWords(drawn.step, clock.step) : "";
		const what = drawn && [drawn.info.layer, drawn.info.view ?? this.kind].join(" ");
		this.canvas.setAttribute("aria-label", drawn ? `${what} at step ${drawn.step}` : "");
		if (frame?.arrays && frame !== this.frame) this.show(frame);
	}

	async show(frame) {
		this.frame = frame;
		try {
			const picture = await createImageBitmap(new Blob([frame.arrays.png.data], { type: "image/png" }));
			if (frame !== this.frame) return;
			Object.assign(this.canvas, { width: picture.width, height: picture.height });
			this.canvas.style.maxWidth = `${picture.width}px`;
			this.canvas.style.setProperty("--natural", `${picture.width}px`);
			const { scrollWidth, clientWidth } = this.scroller;
			this.scroller.tabIndex = scrollWidth > clientWidth ? 0 : -1; // what scrolls can be reached by keyboard
			this.canvas.getContext("2d").drawImage(picture, 0, 0);
			this.drawn = frame;
			this.view.requestDraw();
		} catch {
			frame.error = "This picture cannot be decoded.";
			this.view.requestDraw();
		}
	}
}
