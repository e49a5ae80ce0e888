// Which places of a sample speak for its true and its predicted class, beside the sample and through time.
import { samplesIn } from "../data/selectors.js";
import { dropdown, h, panel, setOptions, setText, showMessage, updateChildren } from "../draw/dom.js";
import { firstRecorded, formatNumber, frameInWords } from "../draw/format.js";
import { drawOutline, drawValues, imageHeight, thumbnail } from "../draw/images.js";
import { appearance } from "../draw/theme.js";
import { SampleStrip } from "./sample_strip.js";

const METHODS = { grad_cam: "Grad-CAM", integrated_gradients: "integrated gradients", occlusion: "occlusion" };
const [SIZE, EDGE] = [168, 2]; // of a picture and of its outline, in pixels
const [ZERO, LARGEST] = [128, 127]; // the byte of zero, and how far from it the largest magnitude of a map is

export class SaliencyPanel {
	constructor(view) {
		this.view = view;
		this.select = dropdown("Method", (saliency) => view.state.set({ saliency }));
		this.step = h("span", "aside");
		this.hint = h("p", "hint");
		this.samples = new SampleStrip(view);
		this.maps = h("div", "samples");
		this.element = panel("saliency", "Saliency", [this.select, this.step], this.hint, this.samples.element, this.maps);
	}

	get active() {
		return this.view.run.seriesOf("saliency").length > 0;
	}

	draw() {
		const { run, state, clock } = this.view;
		const all = run.seriesOf("saliency");
		const tags = all.map((series) => series.tag);
		const tag = tags.includes(state.values.saliency) ? state.values.saliency : tags[0];
		const nameOf = ({ method, layer }) => [METHODS[method] ?? method, layer].filter(Boolean).join(" · ");
		setOptions(this.select, tags, tag, (_, k) => nameOf(all[k]));
		const series = all[tags.indexOf(tag)];
		const step = clock.stepIn(series.steps);
		const frame = run.frame(series, step);
		if (clock.playing) run.prefetch(series, step);
		if (frame && !frame.error) this.shown = { series, frame };
		else if (step === null || frame?.error || this.shown?.series !== series) this.shown = null;
		showMessage(this.hint, step === null ? firstRecorded(series.steps) : frame?.error);
		this.samples.element.hidden = this.maps.hidden = !this.shown;
		setText(this.step, this.shown ? frameInWords(this.shown.frame.step, clock.step) : "");
		if (this.shown) this.drawFrame(nameOf(series));
	}

	drawFrame(name) {
		const { series, frame } = this.shown;
		const { run, state } = this.view;
		const { samples: recorded, rows, classes, predicted } = frame.info;
		const samples = samplesIn(run, series, frame);
		const chosen = Math.max(recorded.indexOf(state.values.sample), 0);
		this.samples.draw(samples, recorded, chosen, predicted);
		const end = this.endOf(series, recorded[chosen]);
		const key = [series.id, frame.step, frame.written, chosen, samples.targets.length, end, appearance.key].join();
		updateChildren(this.maps, key, () => {
			const own = rows.map((row, k) => (row === chosen ? k : -1)).filter((k) => k >= 0);
			const truth = samples.targets[recorded[chosen]];
			const words = own.map((k) => {
				const isTrue = classes[k] === truth || (truth === undefined && classes[k] !== predicted?.[chosen]);
				const roles = [isTrue && "true", classes[k] === predicted?.[chosen] && "predicted"].filter(Boolean);
				return `${roles.join(" and ")} ${samples.classes[classes[k]] ?? classes[k]}`;
			});
			return [
				this.cell(thumbnail(samples, recorded[chosen], SIZE), "sample"),
				...own.map((k, at) => this.map(frame, k, words[at], name, end)),
			];
		});
	}

	/** The largest magnitude in the maps of a sample at all steps, in all runs on one scale; null for each map its own. */
	endOf(series, sample) {
		if (this.view.state.values.scale === "own") return null;
		return this.view
			.framesOnScale((run) => run.series.get(series.tag)?.partOf({ arrays: ["largest"] }))
			.flatMap(({ arrays, info }) =>
				[...(arrays.largest?.data ?? [])].filter((_, k) => info.samples[info.rows[k]] === sample),
			)
			.reduce((most, value) => Math.max(most, value), 0);
	}

	/** A picture with lines of text under it. */
	cell(canvas, ...lines) {
		return h("div", { style: { flex: "none" } }, canvas, ...lines.map((line) => h("small", "", line)));
	}

	/** A map of the frame, from dark to bright or, where places also speak against the class, from blue to red, up to `end`. */
	map(frame, k, words, name, end) {
		const { values, largest } = frame.arrays;
		const [, height, width] = values.shape;
		const [area, own] = [width * height, largest.data[k]];
		const high = Math.max(end ?? 0, own);
		const map = Float32Array.from(
			values.data.subarray(k * area, (k + 1) * area),
			(byte) => ((byte - ZERO) / LARGEST) * own,
		);
		const scale = SIZE / Math.max(width, height);
		const size = {
			width: Math.round(width * scale) + 2 * EDGE,
			height: Math.round(imageHeight(height, scale)) + 2 * EDGE,
		};
		const title = `${name}: what speaks for ${words}`;
		const canvas = h("canvas", { ...size, role: "img", "aria-label": title });
		const context = canvas.getContext("2d");
		const box = [EDGE, EDGE, size.width - 2 * EDGE, size.height - 2 * EDGE];
		const { signed } = frame.info;
		drawValues(context, map, 1, { low: signed ? -high || -1e-30 : 0, high }, width, height, ...box);
		drawOutline(context, ...box, false);
		const ends = signed
			? `blue −${formatNumber(high)} to red ${formatNumber(high)}`
			: `dark 0 to bright ${formatNumber(high)}`;
		return this.cell(canvas, words, own ? ends : "0 everywhere");
	}
}
