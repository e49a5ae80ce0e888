// The ranges of the frames of a series, without their pictures: for one scale over all steps.
import { rangeOf } from "./channels.js";

const ARRAYS = ["low", "high"];
const known = new WeakMap(); // frame → [least, largest]

/** Step → [least, largest] of the frames of a series as far as they are here; asks for the others. */
export function rangesOf(run, series) {
	const frames = run.framesAt(series.partOf({ arrays: ARRAYS }), series.steps);
	for (const frame of frames) if (!frame.error && !known.has(frame)) known.set(frame, rangeOf(frame));
	return new Map(frames.filter((frame) => !frame.error).map((frame) => [frame.step, known.get(frame)]));
}
