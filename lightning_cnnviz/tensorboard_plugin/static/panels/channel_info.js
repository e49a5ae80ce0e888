// The numbers of one channel, in a line.
import { isWeight, partsOf } from "../data/channels.js";
import { QUANTITIES } from "../data/weight_parts.js";
import { h } from "../draw/dom.js";
import { formatNumber } from "../draw/format.js";

export class ChannelInfo {
	constructor(view) {
		this.view = view;
		this.element = h("p", "info");
	}

	/** Says what is known of a channel of what is `shown`; `unit` is what it is called. */
	draw(shown, channels, index, unit) {
		if (index < 0 || index >= channels.count) {
			this.element.textContent = `Point at a ${unit.toLowerCase()} for its values; click to keep it.`;
			return;
		}
		const number = channels.numbers[index] ?? index;
		const parts = this.parts(shown, channels, index, number, unit).filter(Boolean);
		this.element.replaceChildren(h("b", "", `${unit} ${number}`), ...parts.map((part) => ` · ${part}`));
	}

	parts({ frame, kind, step, whole }, channels, index, number, unit) {
		if (kind === "normalization") return this.quantities(whole, step, index);
		const ends = channels.parts.map(({ low, high }) => [low[index], high[index]]);
		const names = partsOf(kind).map(({ name }) => name);
		if (unit === "Unit" && channels.mean)
			return names.map((name, k) => `${name} ${formatNumber(k ? ends[k][0] : channels.mean[index])}`);
		if (names.length > 1) return names.map((name, k) => `${name} ${this.range(ends[k])}`);
		const mean = channels.mean ? channels.mean[index] : this.meanActivation(number, step);
		const activation = mean !== null && `mean activation ${formatNumber(mean)}`;
		if (isWeight(kind))
			return [kind === "kernel_channels" ? this.kernel(whole, step, index) : this.weights(ends[0]), activation];
		const reduced = frame.arrays.channel_low || frame.info.reduced === false ? "" : " of the picture";
		return [`range${reduced} ${this.range(ends[0])}`, activation];
	}

	range = (ends) => ends.map(formatNumber).join(" … ");

	weights = (ends) => `all weights ${this.range(ends)}`;

	/** The range of all weights of a kernel, of which one input channel is shown; of the `whole`, if that is here. */
	kernel(whole, step, index) {
		const arrays = this.view.run.frame(whole.partOf({ arrays: ["low", "high"] }), step)?.arrays;
		return arrays && this.weights([arrays.low.data[index], arrays.high.data[index]]);
	}

	/** All that is recorded of a channel of a normalisation layer, in few words. */
	quantities(whole, step, index) {
		const frame = this.view.run.frame(whole, step);
		if (!frame?.arrays) return [];
		const { data, shape } = frame.arrays.values;
		return frame.info.quantities.map(
			(name, row) =>
				`${name === "running_var" ? "variance" : QUANTITIES[name]} ${formatNumber(data[row * shape[1] + index])}`,
		);
	}

	/** Of a channel over the samples whose feature maps are recorded at this very step; null where they are not. */
	meanActivation(channel, step) {
		const { run, layer } = this.view;
		const series = run.findSeries("feature_maps", layer);
		const frame = series?.steps.includes(step) ? run.frame(series, step) : null;
		const column = frame?.info?.channels?.indexOf(channel) ?? -1;
		if (column < 0) return null;
		const { data, shape } = frame.arrays.mean;
		const means = data.filter((_, k) => k % shape[1] === column);
		return means.reduce((sum, value) => sum + value, 0) / means.length;
	}
}
