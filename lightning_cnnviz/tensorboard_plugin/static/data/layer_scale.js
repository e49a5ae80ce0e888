// The colour scale of a layer's pictures: one for all steps and all runs that are shown, or each picture's own.
import { rangeOf, scaleOf } from "./channels.js";
import { rangesOf } from "./ranges.js";

/**
 * A function from a step to the scale of a part, for the pictures of a series; `frame` is the one that is shown, `all`
 * are [run, series] of all that have one scale.
 */
export function layerScale(run, series, frame, own, all, part) {
	const ranges = rangesOf(run, series, part);
	const shown = rangeOf(frame, part);
	if (own) return (step) => scaleOf([(step === frame.step ? null : ranges.get(step)) ?? shown], part);
	const compared = all.flatMap(([other, theirs]) => [...rangesOf(other, theirs, part).values()]);
	const scale = scaleOf([shown, ...ranges.values(), ...compared], part);
	return () => scale;
}
