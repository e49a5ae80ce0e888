// The ranges of the frames of a series, without their pictures: for one scale over all steps.
import * as api from "./api.js";
import { rangeOf } from "./channels.js";

const BATCH = 200; // frames of a request
const known = new WeakMap(); // series → {ranges: step → [least, largest], requested: steps}

/** Step → [least, largest] of the frames of a series as far as they are here; asks for the others. */
export function rangesOf(run, series) {
	if (!known.has(series)) known.set(series, { ranges: new Map(), requested: new Set() });
	const { ranges, requested } = known.get(series);
	const missing = series.steps.filter((step) => !ranges.has(step) && !requested.has(step));
	for (let start = 0; start < missing.length; start += BATCH) ask(run, series, missing.slice(start, start + BATCH));
	return ranges;
}

async function ask(run, series, steps) {
	const { ranges, requested } = known.get(series);
	for (const step of steps) requested.add(step);
	try {
		const frames = await api.frames(run.name, series.tag, steps, [], ["low", "high"]);
		for (const frame of frames) if (!frame.error) ranges.set(frame.step, rangeOf(frame));
		if (frames.length && frames.length < steps.length) ask(run, series, steps.slice(frames.length));
	} catch {
		for (const step of steps) setTimeout(() => requested.delete(step), 5000); // TensorBoard may come back
	}
	run.onChange();
}
