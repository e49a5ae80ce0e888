// What a layer's pictures show, in words, with their colour bars.
import { isWeight, partsOf } from "../data/channels.js";
import { wordsOf } from "../data/weight_parts.js";
import { colourBar, colours } from "../draw/colours.js";
import { h } from "../draw/dom.js";
import { formatNumber } from "../draw/format.js";

/** The legend of a frame: of each part its name and its scale; `late` says which step it is of, if it is an earlier one. */
export function legendOf({ kind, frame, series }, channels, scales, late) {
	const parts = partsOf(kind);
	const hasColours = channels.planes !== 3 && kind !== "normalization";
	return parts.flatMap(({ name }, k) => {
		const { low, high } = scales[k];
		const signed = low < 0;
		const bar = hasColours ? colourBar(signed ? colours.diverging : colours.sequential) : " … ";
		const finite = high !== 0 || Number.isFinite(channels.parts[k].high[0]);
		const range = finite ? [formatNumber(signed ? -high : low), bar, formatNumber(high)] : ["no finite value"];
		const words = isWeight(kind) ? wordsOf(series, frame.info) : name;
		const told = k === parts.length - 1 ? late : "";
		return [h("span", "", `${words}${told}`), h("span", parts.length > 1 ? "scale short" : "scale", ...range)];
	});
}
