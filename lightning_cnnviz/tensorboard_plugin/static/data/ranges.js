// The ranges of the frames of a series, without their pictures: for one scale over all steps.
import { rangeOf } from "./channels.js";

const known = new WeakMap(); // frame → [least, largest]

/** Step → [least, largest] of a part of the frames of a series as far as they are here; asks for the others. */
export function rangesOf(run, series, part) {
	const names = [part.low, part.high];
	const frames = run.framesAt(series.partOf({ arrays: names }), series.steps);
	const readable = frames.filter(({ error, arrays }) => !error && names.every((name) => arrays[name]));
	for (const frame of readable) if (!known.has(frame)) known.set(frame, rangeOf(frame, part));
	return new Map(readable.map((frame) => [frame.step, known.get(frame)]));
}
