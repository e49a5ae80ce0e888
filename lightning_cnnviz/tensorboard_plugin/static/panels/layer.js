// What one layer has learnt: kernels or weights, feature maps or activations, alone or beside their gradients, filter
// responses at the current step, and the distribution of what it returns over time.
import { channelsOf, isWeight, partsOf } from "../data/channels.js";
import { layerScale } from "../data/layer_scale.js";
import { layersOf, samplesOf } from "../data/selectors.js";
import { dropdown, h, panel, setOptions, setSegments, showMessage } from "../draw/dom.js";
import { firstRecorded, formatInteger } from "../draw/format.js";
import { appearance } from "../draw/theme.js";
import { ChannelGrid } from "./channel_grid.js";
import { ChannelHistory } from "./channel_history.js";
import { Distribution } from "./distribution.js";
import { channelInWords, legendOf } from "./layer_words.js";
import { SampleStrip } from "./sample_strip.js";
import { UnitBars } from "./unit_bars.js";
import { WeightMatrix } from "./weight_matrix.js";

const KINDS = ["kernels", "weights", "feature_maps", "gradient_maps", "filter_response"];
const NAMES = {
	kernels: "Kernels",
	weights: "Weights",
	feature_maps: "Feature maps",
	gradient_maps: "Gradient maps",
	filter_response: "Filter responses",
};
const FLAT = { feature_maps: "Activations", gradient_maps: "Gradients" }; // of units, which have no maps
const CALLBACKS = "KernelGrid(), FeatureMaps(), FilterResponse() and ActivationStats()";
const [MAX_HEIGHT, AROUND] = [330, 186]; // of a picture, and of what is above and below it

export class LayerPanel {
	constructor(view) {
		this.view = view;
		this.select = dropdown("Layer", (layer) => view.state.set({ layer }));
		this.kinds = h("div", "segments");
		this.samples = new SampleStrip(view);
		this.hint = h("p", "hint");
		this.pictures = [ChannelGrid, WeightMatrix, UnitBars].map((Picture) => new Picture(view));
		const [grid] = this.pictures;
		this.legend = h("div", "legend");
		this.info = h("p", "info");
		this.history = new ChannelHistory(view);
		this.distribution = new Distribution(view);
		this.foot = h("div", "foot", this.legend, this.info);
		this.element = panel(
			"layer",
			"Layer",
			[this.select, this.kinds, grid.controls],
			this.samples.element,
			this.hint,
			...this.pictures.map(({ element }) => element),
			this.foot,
			this.history.element,
			this.distribution.element,
		);
	}

	get active() {
		return [...KINDS, "activations"].some((kind) => this.view.run.seriesOf(kind).length);
	}

	draw() {
		const { run, layer, state, clock } = this.view;
		const layers = layersOf(run);
		setOptions(
			this.select,
			layers.map(({ name }) => name),
			layer,
		);
		const recorded = KINDS.filter((kind) => run.findSeries(kind, layer));
		const kind = recorded.find((name) => name === state.values.view) ?? recorded[0];
		const isFlat = layers.find(({ name }) => name === layer)?.shape?.length === 1;
		const nameOf = (name) => (isFlat && FLAT[name]) || NAMES[name];
		const pairs = recorded.map((name) => [name, nameOf(name)]);
		setSegments(this.kinds, pairs, kind, (view) => state.set({ view }));
		const series = run.findSeries(kind, layer);
		const step = series ? clock.stepIn(series.steps) : null;
		const frame = run.frame(series, step);
		if (series && clock.playing) run.prefetch(series, step);
		if (frame && !frame.error) this.shown = { frame, kind, step, series };
		else if (!series || step === null || frame?.error || this.shown?.series !== series) this.shown = null;
		const statistics = run.findSeries("activations", layer);
		let hint = frame?.error;
		if (!series && !statistics)
			hint = `Nothing was recorded of ${layer}. ${CALLBACKS} show the layers that they are given.`;
		else if (series && step === null) hint = firstRecorded(series.steps);
		showMessage(this.hint, hint);
		for (const part of [this.foot, this.history.element]) part.hidden = !this.shown;
		if (!this.shown) for (const { element } of this.pictures) element.hidden = true;
		this.pictures[0].controls.hidden = !this.shown;
		this.samples.element.hidden = !this.shown || isWeight(kind);
		if (this.shown) this.drawFrame();
		this.distribution.draw(statistics);
	}

	/** The picture that fits the frame, made visible. */
	choosePicture({ rows, columns }) {
		const [grid, matrix, bars] = this.pictures;
		const { kind } = this.shown;
		const picture = kind === "weights" ? matrix : rows * columns === 1 && !isWeight(kind) ? bars : grid;
		for (const each of this.pictures) each.element.hidden = each !== picture;
		grid.controls.hidden = picture !== grid;
		return [picture, picture === grid ? "Channel" : "Unit"];
	}

	drawFrame() {
		const { frame, kind, step, series } = this.shown;
		const { run, runs, layer, state, clock } = this.view;
		const recorded = frame.info.samples ?? [];
		const sample = Math.max(recorded.indexOf(state.values.sample), 0);
		const channels = channelsOf(frame, kind, sample);
		if (!isWeight(kind)) this.samples.draw(this.samplesShown(), recorded, sample, frame.info.predicted);
		const own = state.values.scale === "own";
		const scalesAt = partsOf(kind).map((part) => layerScale(runs, run, series, frame, own, part));
		const scales = scalesAt.map((scaleAt) => scaleAt(step));
		const [picture, unit] = this.choosePicture(channels);
		const selected = channels.numbers.indexOf(state.values.channel);
		const aside = this.samples.element.hidden ? 0 : this.samples.element.offsetHeight;
		const height = Math.min(MAX_HEIGHT, Math.max(this.view.room - AROUND - aside, 80));
		const late = step === clock.step ? "" : ` · recorded at step ${formatInteger(step)}`;
		const key = [
			series.id,
			frame.written,
			step,
			kind,
			sample,
			selected,
			late,
			picture.key,
			height,
			JSON.stringify(scales),
			appearance.key,
		].join();
		if (key !== this.drawn) {
			this.drawn = key;
			picture.draw(channels, scales, selected, height, frame.info);
			picture.describe(`${channels.count} ${unit.toLowerCase()}s of ${layer} at step ${step}.`);
			this.legend.replaceChildren(...legendOf(this.shown, channels, scales, late));
		}
		const chosen = picture.hovered >= 0 ? picture.hovered : selected;
		this.drawInfo(channels, chosen, unit);
		this.history.draw(this.shown, Math.max(chosen, 0), channels, sample, scalesAt.at(-1), unit);
	}

	/** The samples that the frame is of: those of the run, or some of a training batch, which come with the frame. */
	samplesShown() {
		const { frame, series } = this.shown;
		const samples = samplesOf(this.view.run);
		const { targets, thumbnails } = frame.arrays;
		if (!thumbnails) return samples;
		const key = `${series.id} ${frame.step} ${frame.written}`;
		return { classes: samples.classes, targets: targets.data, thumbnails, name: "training sample", key };
	}

	/** The numbers of one channel. */
	drawInfo(channels, index, unit) {
		if (index < 0 || index >= channels.count) {
			this.info.textContent = `Point at a ${unit.toLowerCase()} for its values; click to keep it.`;
			return;
		}
		const mean = channels.mean ? channels.mean[index] : this.meanActivation(channels.numbers[index] ?? index);
		this.info.replaceChildren(...channelInWords(this.shown, channels, index, unit, mean));
	}

	/** Of a channel over the samples whose feature maps are recorded at this very step; null where they are not. */
	meanActivation(channel) {
		const { run, layer } = this.view;
		const series = run.findSeries("feature_maps", layer);
		const frame = series?.steps.includes(this.shown.step) ? run.frame(series, this.shown.step) : null;
		const column = frame?.info?.channels?.indexOf(channel) ?? -1;
		if (column < 0) return null;
		const { data, shape } = frame.arrays.mean;
		const [rows, columns] = shape;
		let sum = 0;
		for (let row = 0; row < rows; row++) sum += data[row * columns + column];
		return sum / rows;
	}
}
