// The channels of a frame of weights, feature maps or gradient maps: values, ranges, scales.
import { commonScale, extent } from "../draw/scales.js";

const plain = (name, signed) => ({ name, signed, values: "values", low: "low", high: "high" });
const weight = [plain("weight", true)];
const gradient = { name: "gradient", signed: true, values: "gradients", low: "gradient_low", high: "gradient_high" };
const WEIGHTS = { kernels: weight, kernel_channels: weight, weights: weight, normalization: [plain("value", false)] };
const PARTS = {
	...WEIGHTS,
	feature_maps: [plain("activation", false)],
	gradient_maps: [plain("activation", false), gradient],
	filter_response: [plain("response", true)],
};
const [ZERO, LARGEST] = [128, 127]; // the byte of a gradient of zero, and how far from it the largest one is
const NOT_FINITE = -128; // of the levels of kernels, of which 127 is the largest magnitude

/** Whether a kind shows weights, which have no samples. */
export const isWeight = (kind) => kind in WEIGHTS;

/** What is shown of each channel, side by side: name, whether its scale is around zero, and the names of its arrays. */
export const partsOf = (kind) => PARTS[kind];

/** Rows, columns and planes of each channel of a frame of weights. */
function sizeOf(kind, [, ...size]) {
	if (kind === "weights") return [1, size[0]];
	return kind === "normalization" ? [1, 1] : size;
}

/**
 * The channels of a frame, of its `sample`-th sample unless they are weights; of each of the `parts` the ranges and the
 * values. A unit of a linear layer is a channel.
 */
export function channelsOf(frame, kind, sample) {
	const { arrays, info } = frame;
	const numbers = info.channels ?? [];
	if (isWeight(kind)) {
		const { low, high } = arrays;
		const { shape } = arrays.values;
		const [rows, columns, planes = 1] = sizeOf(kind, shape);
		const size = rows * columns * planes;
		const values = weightsOf(kind, arrays);
		const valuesOf = (index) => values.subarray(index * size, (index + 1) * size);
		const parts = [{ valuesOf, low: low.data, high: high.data }];
		return { count: shape[0], rows, columns, planes, numbers, values, parts };
	}
	const [count, rows, columns] = arrays.values.shape.slice(1);
	const size = rows * columns;
	const own = ({ data }) => data.subarray(sample * count, (sample + 1) * count);
	const parts = partsOf(kind).map((part) => {
		const [lows, highs] = [part.low, part.high].map((name) => own(arrays[name]));
		const valuesOf = (index) => {
			const start = (sample * count + index) * size;
			return dequantise(part, arrays[part.values].data.subarray(start, start + size), lows[index], highs[index]);
		};
		const [low, high] = [part.low, part.high].map((name) => own(arrays[`channel_${name}`] ?? arrays[name]));
		return { valuesOf, low, high };
	});
	return { count, rows, columns, planes: 1, numbers, mean: own(arrays.mean), parts };
}

/** The numbers of a frame of weights; those of kernels' input channels are levels around zero. */
function weightsOf(kind, { values, low, high }) {
	if (kind !== "kernel_channels") return values.data;
	const limit = Math.max(-low.data[0], high.data[0]);
	return Float32Array.from(values.data, (level) => (level === NOT_FINITE ? NaN : (limit * level) / LARGEST));
}

function dequantise({ values }, bytes, low, high) {
	if (values !== gradient.values) return Float32Array.from(bytes, (byte) => low + ((high - low) * byte) / 255);
	const largest = Math.max(-low, high);
	return Float32Array.from(bytes, (byte) => ((byte - ZERO) / LARGEST) * largest);
}

/** Least and largest value of a part of a frame's pictures; [∞, −∞] where none is finite. */
export function rangeOf({ info, arrays }, { low, high }) {
	return info.range ?? [extent(arrays[low].data)[0], extent(arrays[high].data)[1]];
}

/** The scale of some ranges of a part together. */
export function scaleOf(ranges, { signed }) {
	const [lows, highs] = [0, 1].map((end) => ranges.map((range) => range[end]));
	return commonScale(lows, highs, signed);
}

/** A part of one channel in several frames: the values of each. */
export function channelHistory(frames, kind, part) {
	return frames.map(({ arrays }) => {
		if (isWeight(kind)) return weightsOf(kind, arrays);
		return dequantise(part, arrays[part.values].data, arrays[part.low].data[0], arrays[part.high].data[0]);
	});
}
