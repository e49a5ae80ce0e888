// Where the samples are at a time, between two frames of a projection.
import { stepAt } from "./run.js";

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

/** What is worked out once for a frame: bounds and each class's median place. */
function measured(frame, targets, classes) {
	if (frame.measured?.targets === targets) return frame.measured;
	const { data } = frame.arrays.points;
	let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
	const groups = Array.from({ length: classes }, () => [[], []]);
	for (let k = 0; k < data.length / 2; k++) {
		const [x, y] = [data[2 * k], data[2 * k + 1]];
		if (!Number.isFinite(x) || !Number.isFinite(y)) continue;
		[left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
		const group = groups[targets[k]];
		if (group) group[0].push(x), group[1].push(y);
	}
	const medians = groups.map(([x, y]) => (x.length ? [median(x), median(y)] : null));
	frame.measured = { targets, bounds: right >= left ? [left, right, top, bottom] : null, medians };
	return frame.measured;
}

const mix = (a, b, share) => (a && b ? a.map((value, k) => value + (b[k] - value) * share) : (a ?? b));

/** {points, predicted, bounds, medians, frame} at a time; null before the first frame, {waiting} while it is loaded. */
export function layoutAt(run, series, time, targets, classes) {
	const before = stepAt(series.steps, time + 1e-6);
	if (before === null) return null;
	const after = series.steps[series.steps.indexOf(before) + 1];
	const frame = run.frame(series, before);
	if (!frame) return { waiting: true };
	if (frame.error) return { error: frame.error };
	const share = after === undefined ? 0 : (time - before) / (after - before);
	const next = share > 1e-6 ? run.frame(series, after) : null;
	const here = measured(frame, targets, classes);
	const { data } = frame.arrays.points;
	const base = { frame, predicted: frame.arrays.predicted?.data ?? [], points: data, ...here };
	if (!next?.arrays || next.arrays.points.data.length !== data.length) return base;
	const there = measured(next, targets, classes);
	const to = next.arrays.points.data;
	const points = new Float32Array(data.length);
	for (let k = 0; k < data.length; k++) points[k] = Number.isFinite(to[k]) ? data[k] + (to[k] - data[k]) * share : data[k];
	const medians = here.medians.map((median0, k) => mix(median0, there.medians[k], share));
	return { ...base, points, bounds: mix(here.bounds, there.bounds, share), medians };
}

/** The places of one sample in all frames that are here, up to a time: [[x, y], …]. */
export function trail(series, sample, time) {
	const places = [];
	for (const step of series.steps) {
		if (step > time) break;
		const data = series.frames.get(step)?.arrays?.points.data;
		if (data && Number.isFinite(data[2 * sample]) && Number.isFinite(data[2 * sample + 1])) {
			places.push([data[2 * sample], data[2 * sample + 1]]);
		}
	}
	return places;
}
