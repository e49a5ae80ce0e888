// What one layer has learnt: kernels or weights, feature maps or activations, alone or beside their gradients, filter
// responses at the current step, and the distribution of what it returns over time.
import { channelsOf, isWeight, partsOf } from "../data/channels.js";
import { layerScale } from "../data/layer_scale.js";
import { layersOf, samplesIn } from "../data/selectors.js";
import { shownPart, wordsOf } from "../data/weight_parts.js";
import { dropdown, h, panel, setOptions, setSegments, showMessage } from "../draw/dom.js";
import { firstRecorded, formatInteger } from "../draw/format.js";
import { appearance } from "../draw/theme.js";
import { ChannelGrid } from "./channel_grid.js";
import { ChannelHistory } from "./channel_history.js";
import { ChannelInfo } from "./channel_info.js";
import { Distribution } from "./distribution.js";
import { legendOf } from "./layer_legend.js";
import { SampleStrip } from "./sample_strip.js";
import { UnitBars } from "./unit_bars.js";
import { ValueHistory } from "./value_history.js";
import { WeightChoice } from "./weight_choice.js";
import { WeightMatrix } from "./weight_matrix.js";

const KINDS = ["kernels", "weights", "normalization", "feature_maps", "gradient_maps", "filter_response"];
const NAMES = {
	kernels: "Kernels",
	weights: "Weights",
	normalization: "Normalisation",
	feature_maps: "Feature maps",
	gradient_maps: "Gradient maps",
	filter_response: "Filter responses",
};
const FLAT = { feature_maps: "Activations", gradient_maps: "Gradients" }; // of units, which have no maps
const CALLBACKS = "KernelGrid(), FeatureMaps(), FilterResponse() and ActivationStats()";
const [MAX_HEIGHT, AROUND] = [330, 106]; // of a picture, and of what is always above and below it

export class LayerPanel {
	constructor(view) {
		this.view = view;
		this.select = dropdown("Layer", (layer) => view.state.set({ layer }));
		this.kinds = h("div", "segments");
		this.samples = new SampleStrip(view);
		this.choice = new WeightChoice(view);
		this.hint = h("p", "hint");
		this.pictures = [ChannelGrid, WeightMatrix, UnitBars].map((Kind) => new Kind(view));
		const [grid] = this.pictures;
		this.legend = h("div", "legend");
		this.info = new ChannelInfo(view);
		this.histories = [ChannelHistory, ValueHistory].map((Kind) => new Kind(view));
		this.past = h("div"); // holds the one of them that fits
		this.distribution = new Distribution(view);
		this.through = h("div", "through", this.past, this.distribution.element);
		new ResizeObserver(view.requestDraw).observe(this.through);
		this.foot = h("div", "foot", this.legend, grid.controls, this.info.element);
		this.element = panel(
			"layer",
			"Layer",
			[this.select, this.kinds],
			this.samples.element,
			this.choice.element,
			this.hint,
			...this.pictures.map(({ element }) => element),
			this.foot,
			this.through,
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
		const whole = run.findSeries(kind, layer);
		const { series, info } = shownPart(run, kind, layer, clock, state.values);
		const step = whole ? clock.stepIn(whole.steps) : null;
		const frame = run.frame(series, step);
		if (series && clock.playing) run.prefetch(series, step);
		if (frame && !frame.error) this.shown = { frame, kind: series.kind, step, series, whole, info };
		else if (!whole || step === null || frame?.error || this.shown?.whole !== whole) this.shown = null;
		const statistics = run.findSeries("activations", layer);
		let hint = frame?.error;
		if (!whole && !statistics)
			hint = `Nothing was recorded of ${layer}. ${CALLBACKS} show the layers that they are given.`;
		else if (whole && step === null) hint = firstRecorded(whole.steps);
		showMessage(this.hint, hint);
		for (const part of [this.foot, this.past]) part.hidden = !this.shown;
		if (!this.shown) for (const { element } of this.pictures) element.hidden = true;
		this.samples.element.hidden = !this.shown || isWeight(kind);
		this.choice.draw(kind, this.shown && (info ?? this.shown.info));
		this.distribution.draw(statistics);
		if (this.shown) this.drawFrame();
	}

	/** The pictures that fit the frame, now and over time, made visible; and what a channel is called. */
	choosePictures({ rows, columns }) {
		const [grid, matrix, bars] = this.pictures;
		const [strip, line] = this.histories;
		const { kind } = this.shown;
		const isNorm = kind === "normalization";
		const isBars = isNorm || (rows * columns === 1 && !isWeight(kind));
		const picture = kind === "weights" ? matrix : isBars ? bars : grid;
		const history = isNorm ? line : strip;
		for (const each of this.pictures) each.element.hidden = each !== picture;
		if (this.past.firstChild !== history.element) this.past.replaceChildren(history.element);
		grid.controls.hidden = picture !== grid;
		return { picture, history, unit: picture === grid || isNorm ? "Channel" : "Unit" };
	}

	drawFrame() {
		const { frame, kind, step, series } = this.shown;
		const { run, layer, state, clock } = this.view;
		const recorded = frame.info.samples ?? [];
		const sample = Math.max(recorded.indexOf(state.values.sample), 0);
		const channels = channelsOf(frame, kind, sample);
		if (!isWeight(kind)) this.samples.draw(samplesIn(run, series, frame), recorded, sample, frame.info.predicted);
		const own = state.values.scale === "own";
		const find = (each) => shownPart(each, this.shown.whole.kind, layer, clock, state.values).series;
		const all = this.view.onScale(find);
		const scalesAt = partsOf(kind).map((part) => layerScale(run, series, frame, own, all, part));
		const scales = scalesAt.map((scaleAt) => scaleAt(step));
		const { picture, history, unit } = this.choosePictures(channels);
		const selected = channels.numbers.indexOf(state.values.channel);
		const others = [this.samples.element, this.choice.element, this.through];
		const aside = others.reduce((sum, element) => sum + element.offsetHeight, 0);
		const height = Math.min(MAX_HEIGHT, Math.max(this.view.room - AROUND - aside, 84));
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
		this.info.draw(this.shown, channels, chosen, unit);
		const words = kind === "normalization" ? wordsOf(series, frame.info) : unit;
		history.draw(this.shown, Math.max(chosen, 0), channels, words, { scaleAt: scalesAt.at(-1), sample, find });
	}
}
