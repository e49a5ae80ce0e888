// What one layer has learnt: kernels, feature maps, filter responses at the current step.
import { channelsOf, scaleOf } from "../data/channels.js";
import { layersOf, samplesOf } from "../data/selectors.js";
import { stepAt } from "../data/steps.js";
import { colourBar, colours } from "../draw/colours.js";
import { dropdown, h, panel, setOptions, setSegments, showMessage, updateChildren } from "../draw/dom.js";
import { firstRecorded, formatInteger, formatNumber } from "../draw/format.js";
import { thumbnail } from "../draw/images.js";
import { appearance } from "../draw/theme.js";
import { ChannelGrid } from "./channel_grid.js";
import { ChannelHistory } from "./channel_history.js";

const KINDS = [
	["kernels", "Kernels"],
	["feature_maps", "Feature maps"],
	["filter_response", "Filter responses"],
];
const CALLBACKS = "KernelGrid(), FeatureMaps() and FilterResponse()";
const UNITS = { kernels: "weight", feature_maps: "activation", filter_response: "response" };
const MODES = { mean: ", mean over input channels", slice: ", first input channel", rgb: ", as red, green, blue" };

export class LayerPanel {
	constructor(view) {
		this.view = view;
		this.select = dropdown("Layer", (layer) => view.state.set({ layer }));
		this.kinds = h("div", "segments");
		this.samples = h("div", "samples");
		this.hint = h("p", "hint");
		this.grid = new ChannelGrid(view);
		this.legend = h("div", "legend");
		this.info = h("p", "info");
		this.history = new ChannelHistory(view);
		this.element = panel(
			"layer",
			"Layer",
			[this.select, this.kinds, this.grid.zoomButtons],
			this.samples,
			this.hint,
			this.grid.element,
			h("div", "foot", this.legend, this.info),
			this.history.element,
		);
	}

	get active() {
		return KINDS.some(([kind]) => this.view.run.seriesOf(kind).length);
	}

	draw() {
		const { run, layer, state, clock } = this.view;
		const names = layersOf(run).map(({ name }) => name);
		setOptions(this.select, names, layer);
		const recorded = KINDS.filter(([kind]) => run.findSeries(kind, layer));
		const [kind] = recorded.find(([name]) => name === state.values.view) ?? recorded[0] ?? [];
		setSegments(this.kinds, recorded, kind, (view) => state.set({ view }));
		const series = run.findSeries(kind, layer);
		const step = series ? clock.stepIn(series.steps) : null;
		const frame = run.frame(series, step);
		if (series && clock.playing) run.prefetch(series, step);
		if (frame && !frame.error) this.shown = { frame, kind, step, series };
		else if (!series || step === null || frame?.error || this.shown?.series !== series) this.shown = null;
		let hint = frame?.error;
		if (!series) hint = `Nothing was recorded of ${layer}. ${CALLBACKS} show the layers that they are given.`;
		else if (step === null) hint = firstRecorded(series.steps);
		showMessage(this.hint, hint);
		for (const part of [this.grid.element, this.legend, this.info, this.history.element]) part.hidden = !this.shown;
		this.samples.hidden = !this.shown || kind === "kernels";
		if (this.shown) this.drawFrame();
	}

	drawFrame() {
		const { frame, kind, step, series } = this.shown;
		const { layer, state, clock } = this.view;
		const recorded = frame.info.samples ?? [];
		const sample = Math.max(recorded.indexOf(state.values.sample), 0);
		const channels = channelsOf(frame, kind, sample);
		if (kind !== "kernels") this.drawSamples(recorded, sample);
		const selected = channels.numbers.indexOf(state.values.channel);
		const { width, zoom, hovered } = this.grid;
		const current = step === clock.step;
		const shown = [series.id, frame.written, step, current, layer, sample];
		const key = [...shown, width, zoom, hovered, selected, appearance.key].join();
		if (key !== this.drawn) {
			this.drawn = key;
			const scale = scaleOf(channels, kind);
			this.grid.draw(channels, scale, selected, `${channels.count} channels of ${layer} at step ${step}`);
			this.drawLegend(channels, scale, current ? "" : ` · recorded at step ${formatInteger(step)}`);
		}
		const chosen = hovered >= 0 ? hovered : selected;
		this.drawInfo(channels, chosen);
		this.history.draw(this.shown, Math.max(chosen, 0), channels, sample);
	}

	drawSamples(indices, chosen) {
		const { run, state } = this.view;
		const samples = samplesOf(run);
		const key = JSON.stringify([run.name, run.series.size, samples.targets.length, indices]);
		updateChildren(this.samples, key, () =>
			indices.map((index) => {
				const name = samples.classes[samples.targets[index]];
				const id = index < 0 ? -index : `#${index}`;
				const title = `sample ${id}${name === undefined ? "" : `: ${name}`}`;
				const onclick = () => state.set({ sample: index });
				return h("button", { title, onclick }, thumbnail(samples, index, 32), h("small", "", name ?? id));
			}),
		);
		for (const [k, button] of [...this.samples.children].entries()) button.setAttribute("aria-pressed", k === chosen);
	}

	drawLegend(channels, { low, high }, late) {
		const { kind, frame } = this.shown;
		const signed = low < 0;
		const bar = channels.planes === 3 ? "…" : colourBar(signed ? colours.diverging : colours.sequential);
		const finite = high !== 0 || Number.isFinite(channels.high[0]);
		const range = finite ? [formatNumber(signed ? -high : low), bar, formatNumber(high)] : ["no finite value"];
		const words = h("span", "", `${UNITS[kind]}${MODES[frame.info.mode] ?? ""}${late}`);
		this.legend.replaceChildren(words, h("span", "scale", ...range));
	}

	/** The numbers of one channel. */
	drawInfo(channels, index) {
		if (index < 0 || index >= channels.count) {
			this.info.textContent = "Point at a channel for its values; click to keep it.";
			return;
		}
		const number = channels.numbers[index] ?? index;
		const values = this.shown.kind === "kernels" ? "all weights" : "range";
		const [low, high] = [channels.low[index], channels.high[index]].map(formatNumber);
		const mean = channels.mean ? channels.mean[index] : this.meanActivation(number);
		this.info.replaceChildren(
			h("b", "", `Channel ${number}`),
			` · ${values} ${low} … ${high}`,
			mean === null ? "" : ` · mean activation ${formatNumber(mean)}`,
		);
	}

	/** Of a channel over the samples whose feature maps are recorded at this step; null where they are not. */
	meanActivation(channel) {
		const { run, layer } = this.view;
		const series = run.findSeries("feature_maps", layer);
		const frame = series && run.frame(series, stepAt(series.steps, this.shown.step));
		const column = frame?.info?.channels?.indexOf(channel) ?? -1;
		if (column < 0) return null;
		const { data, shape } = frame.arrays.mean;
		const [rows, columns] = shape;
		let sum = 0;
		for (let row = 0; row < rows; row++) sum += data[row * columns + column];
		return sum / rows;
	}
}
