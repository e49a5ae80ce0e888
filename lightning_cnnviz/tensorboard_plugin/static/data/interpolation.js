// Where the samples of a projection are at a time, between two of its frames.
import { stepAt } from "./steps.js";

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

/** [left, right, low, high] of the points of a frame, worked out once; infinite where none is finite. */
function boundsOf(frame) {
	if (frame.bounds) return frame.bounds;
	const { data } = frame.arrays.points;
	let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
	for (let k = 0; k < data.length; k += 2) {
		const [x, y] = [data[k], data[k + 1]];
		if (!Number.isFinite(x) || !Number.isFinite(y)) continue;
		[left, right, low, high] = [Math.min(left, x), Math.max(right, x), Math.min(low, y), Math.max(high, y)];
	}
	frame.bounds = [left, right, low, high];
	return frame.bounds;
}

/** Bounds that hold both. */
export const union = (bounds, own) =>
	bounds.map((value, k) => (k % 2 ? Math.max(value, own[k]) : Math.min(value, own[k])));

/** The bounds of all frames of a series: as they are recorded, and where they are not, of those that are here. */
export function commonBounds(run, series) {
	const recorded = run.framesAt(series.partOf({ arrays: ["bounds"] }), series.steps);
	const found = recorded.map((frame) => frame.arrays?.bounds?.data).filter((data) => data?.every(Number.isFinite));
	const here = [...series.frames.values()].filter((frame) => frame.arrays?.points).map(boundsOf);
	const inOrder = found.map(([left, low, right, high]) => [left, right, low, high]);
	return [...inOrder, ...here].reduce(union, [Infinity, -Infinity, Infinity, -Infinity]);
}

/** What is worked out once for a frame: bounds, and the median position of each class. */
function summaryOf(frame, targets, classCount) {
	if (frame.summary?.targets === targets) return frame.summary;
	const { data } = frame.arrays.points;
	const bounds = boundsOf(frame);
	const groups = Array.from({ length: classCount }, () => [[], []]);
	for (let k = 0; k < data.length / 2; k++) {
		const [x, y] = [data[2 * k], data[2 * k + 1]];
		if (!Number.isFinite(x) || !Number.isFinite(y)) continue;
		groups[targets[k]]?.[0].push(x);
		groups[targets[k]]?.[1].push(y);
	}
	const medians = groups.map(([x, y]) => (x.length ? [median(x), median(y)] : null));
	frame.summary = { targets, bounds: bounds[1] >= bounds[0] ? bounds : null, medians };
	return frame.summary;
}

const lerp = (a, b, share) => (a && b ? a.map((value, k) => value + (b[k] - value) * share) : (a ?? b));

/**
 * {points, predicted, bounds, medians, frame, next} at a time of a series: what is not a place is that of `frame`, and
 * `next` is the frame that the points move to, if they do. Null before the first frame, {waiting} while it is loaded.
 */
export function projectionAt(run, series, time, { targets, classes }) {
	if (time === null) return null;
	const before = stepAt(series.steps, time + 1e-6) ?? series.steps[0];
	const after = series.steps[series.steps.indexOf(before) + 1];
	const frame = run.frame(series, before);
	if (!frame) return { waiting: true };
	if (frame.error) return { error: frame.error };
	const share = after === undefined ? 0 : Math.max(0, time - before) / (after - before);
	const next = share > 1e-6 ? run.frame(series, after) : null;
	const start = summaryOf(frame, targets, classes.length);
	const { data } = frame.arrays.points;
	const projection = { frame, predicted: frame.arrays.predicted?.data ?? [], points: data, ...start };
	if (!next?.arrays || next.arrays.points.data.length !== data.length) return projection;
	const end = summaryOf(next, targets, classes.length);
	const to = next.arrays.points.data;
	const points = data.map((value, k) => (Number.isFinite(to[k]) ? value + (to[k] - value) * share : value));
	const medians = start.medians.map((middle, k) => lerp(middle, end.medians[k], share));
	return { ...projection, points, next, bounds: lerp(start.bounds, end.bounds, share), medians };
}

/** The positions of one sample up to a time, [[x, y], …], from a series of some rows of a projection. */
export function trajectory(past, sample, time) {
	const row = past.part.rows.indexOf(sample);
	const positions = [];
	for (const step of past.steps) {
		if (step > time) break;
		const position = past.frames.get(step)?.arrays?.points.data.slice(2 * row, 2 * row + 2);
		if (position?.length && position.every(Number.isFinite)) positions.push(position);
	}
	return positions;
}
