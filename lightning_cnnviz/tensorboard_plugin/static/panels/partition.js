// How the network divides the plane of its two inputs, through time.
import { dropdown, h, panel, setOptions, showMessage } from "../draw/dom.js";
import { firstRecorded, frameInWords } from "../draw/format.js";

export class PartitionPanel {
	constructor(view) {
		this.view = view;
		this.select = dropdown("Layer and view", (cells) => view.state.set({ cells }));
		this.canvas = h("canvas", { role: "img" });
		this.step = h("span", "aside");
		this.hint = h("p", "hint");
		this.element = panel("partition", "Partition of the plane", [this.select, this.step], this.hint, this.canvas);
	}

	get active() {
		return this.view.run.seriesOf("partition").length > 0;
	}

	draw() {
		const { run, state, clock, layer } = this.view;
		const all = run.seriesOf("partition");
		const tags = all.map((series) => series.tag);
		const own = all.find((series) => series.layer === layer)?.tag;
		const tag = [state.values.cells, own, tags[0]].find((candidate) => tags.includes(candidate));
		setOptions(this.select, tags, tag, (_, k) => `${all[k].layer} · ${all[k].view}`);
		const series = all[tags.indexOf(tag)];
		const step = clock.stepIn(series.steps);
		const frame = run.frame(series, step);
		if (clock.playing) run.prefetch(series, step);
		showMessage(this.hint, step === null ? firstRecorded(series.steps) : frame?.error);
		this.canvas.hidden = !this.hint.hidden;
		const drawn = this.canvas.hidden ? null : this.drawn;
		this.step.textContent = drawn ? frameInWords(drawn.step, clock.step) : "";
		this.canvas.setAttribute("aria-label", drawn ? `${drawn.info.layer} ${drawn.info.view} at step ${drawn.step}` : "");
		if (frame?.arrays && frame !== this.frame) this.show(frame);
	}

	async show(frame) {
		this.frame = frame;
		try {
			const picture = await createImageBitmap(new Blob([frame.arrays.png.data], { type: "image/png" }));
			if (frame !== this.frame) return;
			Object.assign(this.canvas, { width: picture.width, height: picture.height });
			this.canvas.style.maxWidth = `${picture.width}px`;
			this.canvas.getContext("2d").drawImage(picture, 0, 0);
			this.drawn = frame;
			this.view.requestDraw();
		} catch {
			frame.error = "This picture cannot be decoded.";
			this.view.requestDraw();
		}
	}
}
