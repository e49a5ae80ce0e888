// How the network cuts the plane of its two inputs, through time.
import { chooser, h, options, panel, say } from "./dom.js";
import { whole } from "./format.js";
import { stepAt } from "./run.js";

export class PartitionPanel {
	constructor(view, state) {
		Object.assign(this, { view, state });
		this.cells = chooser("Layer and view", (cells) => state.set({ cells }));
		this.canvas = h("canvas", { role: "img" });
		this.hint = h("p", "hint");
		this.element = panel("partition", "Partition of the plane", [this.cells], this.hint, this.canvas);
	}

	get active() {
		return this.view.run.of("partition").length > 0;
	}

	draw({ clock, state }) {
		const all = this.view.run.of("partition");
		const tags = all.map((series) => series.tag);
		const own = all.find((series) => series.layer === this.view.layer)?.tag;
		const chosen = [state.now.cells, own, tags[0]].find((tag) => tags.includes(tag));
		options(this.cells, all.map((series) => [series.tag, `${series.layer} · ${series.view}`]), chosen);
		const series = all[tags.indexOf(chosen)];
		const step = series ? stepAt(series.steps, clock.step) : null;
		const frame = this.view.run.frame(series, step);
		if (series) this.view.run.request(series, series.steps.filter((s) => s > step).slice(0, 8));
		say(this.hint, step === null && series ? `First recorded at step ${whole(series.steps[0])}.` : frame?.error);
		this.canvas.hidden = !this.hint.hidden;
		this.canvas.setAttribute("aria-label", `${series?.layer} ${series?.view} at step ${step}`);
		if (frame?.arrays && frame !== this.shown) this.show(frame);
	}

	async show(frame) {
		this.shown = frame;
		try {
			const picture = await createImageBitmap(new Blob([frame.arrays.png.data], { type: "image/png" }));
			if (frame !== this.shown) return;
			Object.assign(this.canvas, { width: picture.width, height: picture.height });
			this.canvas.style.maxWidth = `${picture.width}px`;
			this.canvas.getContext("2d").drawImage(picture, 0, 0);
		} catch {
			frame.error = "This picture cannot be decoded.";
			this.view.changed();
		}
	}
}
