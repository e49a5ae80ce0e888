// What one layer has learnt: kernels, feature maps, filter responses at the current step.
import { channelsOf, scaleFor } from "./channels.js";
import { History } from "./history.js";
import { chooser, clamp, h, icon, look, options, panel, refill, say, segmented, sharp, token } from "./dom.js";
import { layers, samples } from "./facts.js";
import { number, whole } from "./format.js";
import { DIVERGING, ramp, SEQUENTIAL } from "./palettes.js";
import { stepAt } from "./run.js";
import { cellAt, colour, outline, paint, place, thumbnail } from "./tiles.js";

const KINDS = [["kernels", "Kernels"], ["feature_maps", "Feature maps"], ["filter_response", "Filter responses"]];
const HEIGHT = 330;
const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];

export class LayerPanel {
	constructor(view, state, clock) {
		Object.assign(this, { view, state, zoom: 1, hovered: -1 });
		this.select = chooser("Layer", (layer) => state.set({ layer }));
		this.kinds = h("div", "segments");
		const zoom = (sign, title, by) => icon(sign, title, () => {
			this.zoom = ZOOMS[clamp(ZOOMS.indexOf(this.zoom) + by, 0, ZOOMS.length - 1)];
			view.changed();
		});
		this.samples = h("div", "samples");
		this.canvas = h("canvas", { tabIndex: 0, role: "img", onpointermove: this.hover,
			onpointerleave: () => { this.hovered = -1; view.changed(); }, onclick: () => this.keep(), onkeydown: this.walk });
		this.sheet = h("div", "sheet", this.canvas);
		this.legend = h("div", "legend");
		this.info = h("p", "info");
		this.empty = h("p", "hint");
		this.history = new History(view, state, clock);
		this.element = panel("layer", "Layer",
			[this.select, this.kinds, h("span", "zoom", zoom("−", "Smaller", -1), zoom("+", "Larger", 1))],
			this.samples, this.empty, this.sheet, h("div", "foot", this.legend, this.info), this.history.element);
	}

	get active() {
		return KINDS.some(([kind]) => this.view.run.of(kind).length);
	}

	draw({ clock, state }) {
		const { run, layer } = this.view;
		options(this.select, layers(run).map(({ name }) => [name, name]), layer);
		const there = KINDS.filter(([kind]) => run.find(kind, layer));
		const kind = there.some(([name]) => name === state.now.view) ? state.now.view : there[0]?.[0];
		segmented(this.kinds, there, kind, (view) => state.set({ view }));
		const series = run.find(kind, layer);
		const step = series ? stepAt(series.steps, clock.step) : null;
		const frame = run.frame(series, step);
		if (series && clock.playing) run.request(series, series.steps.filter((s) => s > step).slice(0, 8));
		if (frame && !frame.error) this.shown = { frame, kind, step, series };
		else if (!series || step === null || frame?.error || this.shown?.series !== series) this.shown = null;
		const lacking = !there.length ? `Nothing was recorded of ${layer}. KernelGrid(), FeatureMaps() and FilterResponse() show the layers that they are given.`
			: step === null ? `First recorded at step ${whole(series.steps[0])}.` : frame?.error;
		say(this.empty, lacking);
		for (const part of [this.sheet, this.legend, this.info, this.history.element]) part.hidden = !this.shown;
		this.samples.hidden = !this.shown || kind === "kernels";
		if (this.shown) this.drawFrame(clock, state);
	}

	drawFrame(clock, state) {
		const { frame, kind, step } = this.shown;
		const { run } = this.view;
		const sampled = frame.info.samples ?? [];
		const sample = Math.max(sampled.indexOf(state.now.sample), 0);
		const channels = channelsOf(frame, kind, sample);
		if (kind !== "kernels") this.drawSamples(sampled, sample);
		const kept = channels.numbers.indexOf(state.now.channel);
		const width = this.sheet.clientWidth - 2;
		const key = [run.version, step, step === clock.step, kind, this.view.layer, sample, width, this.zoom, this.hovered, kept, look.key].join();
		if (key !== this.drawn) {
			this.drawn = key;
			const layout = place(channels.count, channels.w, channels.h, width, HEIGHT - 8, this.zoom);
			Object.assign(this, { layout, channels });
			const context = sharp(this.canvas, Math.max(layout.width + 4, 8), layout.height + 4);
			context.translate(2, 2);
			context.font = `10px ${token("font")}`;
			context.textAlign = "center";
			const scale = scaleFor(channels, kind);
			for (let index = 0; index < channels.count; index++) {
				const [x, y] = [(index % layout.columns) * layout.right, Math.floor(index / layout.columns) * layout.down];
				paint(context, colour(channels.value(index), channels.planes, scale), channels.w, channels.h, x, y, layout.wide, layout.high);
				const marked = index === this.hovered || index === kept;
				outline(context, x, y, layout.wide, layout.high, token(marked ? "accent" : "rule"), marked ? 2 : 1);
				context.fillStyle = token(marked ? "text" : "quiet");
				if (layout.labelled) context.fillText(String(channels.numbers[index] ?? index), x + layout.wide / 2, y + layout.high + 11);
			}
			this.canvas.setAttribute("aria-label", `${channels.count} channels of ${this.view.layer} at step ${step}`);
			this.drawLegend(channels, kind, scale, step === clock.step ? "" : ` · recorded at step ${whole(step)}`);
		}
		const chosen = this.hovered >= 0 ? this.hovered : kept;
		this.tell(chosen);
		this.history.draw(this.shown, Math.max(chosen, 0), channels, sample);
	}

	drawSamples(indices, chosen) {
		const known = samples(this.view.run);
		const key = JSON.stringify([this.view.run.name, this.view.run.series.size, known.targets.length, indices]);
		refill(this.samples, key, () => indices.map((index) => {
			const name = known.classes[known.targets[index]];
			const id = index < 0 ? -index : `#${index}`;
			return h("button", { title: `sample ${id}${name === undefined ? "" : `: ${name}`}`,
				onclick: () => this.state.set({ sample: index }) }, thumbnail(known, index, 32), h("small", "", name ?? id));
		}));
		[...this.samples.children].forEach((button, place) => button.setAttribute("aria-pressed", place === chosen));
	}

	drawLegend(channels, kind, scale, late) {
		const unit = { kernels: "weight", feature_maps: "activation", filter_response: "response" }[kind];
		const mode = { mean: ", mean over input channels", slice: ", first input channel", rgb: ", as red, green, blue" }[this.shown.frame.info.mode] ?? "";
		const sign = scale.low < 0;
		const bar = channels.planes === 3 ? "…" : h("i", { class: "ramp", style: { background: ramp(sign ? DIVERGING : SEQUENTIAL) } });
		const finite = scale.high === 0 && !Number.isFinite(channels.high[0]) ? ["no finite value"] : [number(sign ? -scale.high : scale.low), bar, number(scale.high)];
		this.legend.replaceChildren(h("span", "", `${unit}${mode}${late}`), h("span", "scale", ...finite));
	}

	tell(index) {
		const { channels } = this;
		if (index < 0 || index >= channels.count) {
			this.info.textContent = "Point at a channel for its values; click to keep it.";
			return;
		}
		const name = channels.numbers[index] ?? index;
		const unit = this.shown.kind === "kernels" ? "all weights" : "range";
		const mean = channels.mean ? channels.mean[index] : this.meanActivation(name);
		this.info.replaceChildren(h("b", "", `Channel ${name}`), ` · ${unit} ${number(channels.low[index])} … ${number(channels.high[index])}`,
			mean === null ? "" : ` · mean activation ${number(mean)}`);
	}

	/** Of a channel over the samples whose feature maps are recorded at this step; null where they are not. */
	meanActivation(name) {
		const { run, layer } = this.view;
		const series = run.find("feature_maps", layer);
		const frame = series && run.frame(series, stepAt(series.steps, this.shown.step));
		const place = frame?.info?.channels.indexOf(name) ?? -1;
		if (place < 0) return null;
		const { data, shape: [rows, columns] } = frame.arrays.mean;
		return Array.from({ length: rows }, (_, row) => data[row * columns + place]).reduce((a, b) => a + b, 0) / rows;
	}

	hover = (event) => {
		const cell = cellAt(this.layout, this.channels.count, event.offsetX - 2, event.offsetY - 2);
		if (cell === this.hovered) return;
		this.hovered = cell;
		this.view.changed();
	};

	keep() {
		if (this.hovered < 0) return;
		const channel = this.channels.numbers[this.hovered] ?? this.hovered;
		this.state.set({ channel: channel === this.state.now.channel ? undefined : channel });
	}

	walk = (event) => {
		const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.layout?.columns, ArrowUp: -this.layout?.columns }[event.key];
		if (!by) return;
		event.preventDefault();
		event.stopPropagation();
		const { numbers, count } = this.channels;
		const at = numbers.indexOf(this.state.now.channel);
		this.state.set({ channel: numbers[at < 0 ? 0 : clamp(at + by, 0, count - 1)] });
	};
}
