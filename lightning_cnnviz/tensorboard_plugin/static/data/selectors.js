// What the frames of a run say, put together for the panels. Each is worked out again when what it is made of changes.
import { NO_GRADIENT, NOT_FINITE, NOT_MEASURED } from "../draw/missing.js";
import { isSameList } from "./series.js";

/** `kinds` are those of the frames that `select` looks at; see `versionOf` of a run. */
export function memoised(kinds, select) {
	const key = Symbol();
	return (run) => {
		const version = run.versionOf(...kinds);
		if (run[key]?.version !== version) run[key] = { version, value: select(run) };
		return run[key].value;
	};
}

export const readable = (frames) => frames.filter((frame) => !frame.error);

export const modelOf = memoised(["series", "model"], (run) => readable(run.framesOf("model")).at(-1)?.info ?? null);

const INPUT = ".input"; // behind the name of a layer: what goes into it

/** The layer that is read from where a projection shows what goes into one, or null. */
export const readerOf = ({ kind, layer }) =>
	kind === "projection" && layer?.endsWith(INPUT) ? layer.slice(0, -INPUT.length) : null;

/** The projection of a layer, or of what goes into it. */
export const projectionOf = (run, layer) =>
	run.findSeries("projection", layer) ?? run.findSeries("projection", layer + INPUT);

/** The layers in the order of the forward pass, then others that have series. */
export const layersOf = memoised(["series", "model"], (run) => {
	const named = modelOf(run)?.layers ?? [];
	const known = new Set(named.map((layer) => layer.name));
	const others = [...run.series.values()]
		.filter((series) => !known.has(readerOf(series)))
		.map((series) => series.layer)
		.filter((name) => name && !known.has(name));
	return [...named, ...[...new Set(others)].map((name) => ({ name }))];
});

/** {classes, targets, thumbnails: {data, shape} or undefined} of the samples that are recorded. */
export const samplesOf = memoised(["series", "model", "samples"], (run) => {
	const frame = readable(run.framesOf("samples")).at(-1);
	const classes = frame?.info.classes ?? modelOf(run)?.classes ?? [];
	return { classes, targets: frame?.arrays.targets?.data ?? [], thumbnails: frame?.arrays.thumbnails };
});

/** The samples that a frame is of: those of the run, or its own ones, which come with it and then have a `key`. */
export function samplesIn(run, series, frame) {
	const samples = samplesOf(run);
	const { targets, thumbnails } = frame.arrays;
	if (!thumbnails) return samples;
	const classes = frame.info.class_names?.length ? frame.info.class_names : samples.classes;
	const name = series.kind === "gradient_maps" ? "training sample" : "sample of this picture";
	return { classes, targets: targets.data, thumbnails, name, key: `${series.id} ${frame.step} ${frame.written}` };
}

/** Name → [[epoch, step, value], …] by rising step; a value is null where it was not finite. */
export const curvesOf = memoised(["series", "curves"], (run) => {
	const curves = {};
	for (const frame of readable(run.framesOf("curves"))) {
		for (const [name, points] of Object.entries(frame.info.points ?? {})) {
			curves[name] ??= new Map();
			for (const point of points) curves[name].set(point[1], point);
		}
	}
	const sorted = (points) => [...points.values()].sort((a, b) => a[1] - b[1]);
	return Object.fromEntries(Object.entries(curves).map(([name, points]) => [name, sorted(points)]));
});

/** The frames of the gradients and their steps, and all their layers and statistics. */
export const gradientsOf = memoised(["series", "model", "gradients"], (run) => {
	const frames = readable(run.framesOf("gradients")).filter((frame) => frame.arrays.values);
	const lists = new Set(frames.map((frame) => frame.info.layers)); // most often one that all of them share
	const layers = [...new Set([...lists].flat())];
	const order = new Map(layersOf(run).map((layer, index) => [layer.name, index]));
	layers.sort((a, b) => (order.get(a) ?? Infinity) - (order.get(b) ?? Infinity) || 0);
	return { layers, statistics: frames.at(-1)?.info.statistics ?? [], frames, steps: frames.map((frame) => frame.step) };
});

const rows = new WeakMap(); // list of layers → layer → its place in the list

function rowsOf(frame) {
	const { layers } = frame.info;
	if (!rows.has(layers)) rows.set(layers, new Map(layers.map((name, row) => [name, row])));
	return rows.get(layers);
}

const columns = new WeakMap(); // frame → the last column of it

/** What `gradientAt` says of each of the `layers`. */
export function gradientColumn(frame, layers, statistic) {
	const known = columns.get(frame);
	if (known?.statistic === statistic && isSameList(known.layers, layers)) return known.column;
	const column = layers.map((name) => gradientAt(frame, name, statistic));
	columns.set(frame, { statistic, layers, column });
	return column;
}

/** {health, values: statistic → number} of a layer in a frame of the gradients, or null. */
export function layerGradients(frame, layer) {
	const row = rowsOf(frame).get(layer);
	if (row === undefined) return null;
	const { data } = frame.arrays.values;
	const { statistics, health } = frame.info;
	const values = Object.fromEntries(statistics.map((name, column) => [name, data[row * statistics.length + column]]));
	return { health: health?.[row] ?? "none", values };
}

/** A statistic of a layer in a frame of the gradients: a finite number, or which kind of cell without one it is. */
export function gradientAt(frame, layer, statistic) {
	const { statistics, health } = frame.info;
	const [row, column] = [rowsOf(frame).get(layer), statistics.indexOf(statistic)];
	if (row === undefined || column < 0) return NOT_MEASURED;
	const value = frame.arrays.values.data[row * statistics.length + column];
	if (Number.isFinite(value)) return value;
	if (health?.[row] === "none") return NO_GRADIENT;
	return health?.[row] === "non-finite" || !Number.isNaN(value) ? NOT_FINITE : NOT_MEASURED;
}

/** Epochs completed at a time, between the points of any curve; null where there is none. */
export function epochAt(run, time) {
	const [points] = Object.values(curvesOf(run)).sort((a, b) => b.length - a.length);
	if (!points?.length) return null;
	const after = points.findIndex((point) => point[1] >= time);
	if (after < 0) return points.at(-1)[0];
	if (after === 0) return points[0][1] ? (points[0][0] * time) / points[0][1] : points[0][0];
	const [[epoch0, step0], [epoch1, step1]] = [points[after - 1], points[after]];
	return epoch0 + ((epoch1 - epoch0) * (time - step0)) / (step1 - step0);
}
