// What a layer's pictures show, in words and numbers: the legend with its colour bars, and the values of one channel.
import { isWeight, partsOf } from "../data/channels.js";
import { colourBar, colours } from "../draw/colours.js";
import { h } from "../draw/dom.js";
import { formatNumber } from "../draw/format.js";

const MODES = { mean: ", mean over input channels", slice: ", first input channel", rgb: ", as red, green, blue" };

/** The legend of a frame: of each part its name and its scale; `late` says which step it is of, if it is an earlier one. */
export function legendOf({ kind, frame }, channels, scales, late) {
	const { mode, block = [1, 1] } = frame.info;
	const means = block[0] * block[1] > 1 ? `, means of ${block.join(" × ")}` : "";
	const parts = partsOf(kind);
	return parts.flatMap(({ name }, k) => {
		const { low, high } = scales[k];
		const signed = low < 0;
		const bar = channels.planes === 3 ? "…" : colourBar(signed ? colours.diverging : colours.sequential);
		const finite = high !== 0 || Number.isFinite(channels.parts[k].high[0]);
		const range = finite ? [formatNumber(signed ? -high : low), bar, formatNumber(high)] : ["no finite value"];
		const told = k === parts.length - 1 ? `${MODES[mode] ?? means}${late}` : "";
		return [h("span", "", `${name}${told}`), h("span", parts.length > 1 ? "scale short" : "scale", ...range)];
	});
}

/** The numbers of the channel at an index; `unit` is what it is called, `mean` its mean activation, null where unknown. */
export function channelInWords({ kind, frame }, channels, index, unit, mean) {
	const title = h("b", "", `${unit} ${channels.numbers[index] ?? index}`);
	const ends = channels.parts.map(({ low, high }) => [low, high].map((end) => end[index]));
	const ranges = ends.map(([low, high]) => `${formatNumber(low)} … ${formatNumber(high)}`);
	const names = partsOf(kind).map(({ name }) => name);
	if (unit === "Unit" && channels.mean) {
		const values = ends.map(([low], k) => (k ? low : channels.mean[index]));
		return [title, ...values.map((value, k) => ` · ${names[k]} ${formatNumber(value)}`)];
	}
	if (names.length > 1) return [title, ...ranges.map((range, k) => ` · ${names[k]} ${range}`)];
	const reduced = isWeight(kind) || frame.arrays.channel_low || frame.info.reduced === false ? "" : " of the picture";
	const values = isWeight(kind) ? "all weights" : `range${reduced}`;
	const activation = mean === null ? "" : ` · mean activation ${formatNumber(mean)}`;
	return [title, ` · ${values} ${ranges[0]}`, activation];
}
