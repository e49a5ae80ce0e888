// The colour scale of a layer's pictures: one for all steps and all runs that are shown, or each picture's own.
import { rangeOf, scaleOf } from "./channels.js";
import { rangesOf } from "./ranges.js";

/**
 * A function from a step to its scale, for the pictures of a series; `frame` is the one that is shown, `others` are
 * [run, series] of what is shown beside it.
 */
export function layerScale(run, series, frame, own, others) {
	const { kind } = series;
	const ranges = rangesOf(run, series);
	const shown = rangeOf(frame);
	if (own) return (step) => scaleOf([(step === frame.step ? null : ranges.get(step)) ?? shown], kind);
	const compared = others.flatMap(([other, theirs]) => [...rangesOf(other, theirs).values()]);
	const scale = scaleOf([shown, ...ranges.values(), ...compared], kind);
	return () => scale;
}
