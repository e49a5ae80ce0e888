// The channels of a frame of kernels, weights, feature maps or filter responses: values, ranges, scales.
import { commonScale, extent } from "../draw/scales.js";

const WEIGHTS = ["kernels", "kernel_channels", "weights", "normalization"];
const SIGNED = ["kernels", "kernel_channels", "weights", "filter_response"]; // shown around zero, whatever the values

/** Whether a kind shows weights, which have no samples. */
export const isWeight = (kind) => WEIGHTS.includes(kind);

/** Rows, columns and planes of each channel of a frame of weights. */
function sizeOf(kind, [, ...size]) {
	if (kind === "weights") return [1, size[0]];
	return kind === "normalization" ? [1, 1] : size;
}

/** The channels of a frame, of its `sample`-th sample unless they are weights. A unit of a linear layer is a channel. */
export function channelsOf(frame, kind, sample) {
	const { values, low, high, mean, channel_low, channel_high } = frame.arrays;
	const numbers = frame.info.channels ?? [];
	if (isWeight(kind)) {
		const [rows, columns, planes = 1] = sizeOf(kind, values.shape);
		const size = rows * columns * planes;
		const weights = kind === "kernel_channels" ? dequantiseSigned(frame.arrays) : values.data;
		const valuesOf = (index) => weights.subarray(index * size, (index + 1) * size);
		const ranges = { low: low.data, high: high.data };
		return { count: values.shape[0], rows, columns, planes, numbers, valuesOf, values: weights, ...ranges };
	}
	const [count, rows, columns] = values.shape.slice(1);
	const size = rows * columns;
	const own = ({ data }) => data.subarray(sample * count, (sample + 1) * count);
	const [lows, highs] = [own(low), own(high)];
	const valuesOf = (index) => {
		const start = (sample * count + index) * size;
		return dequantise(values.data.subarray(start, start + size), lows[index], highs[index]);
	};
	const ranges = { low: own(channel_low ?? low), high: own(channel_high ?? high), mean: own(mean) };
	return { count, rows, columns, planes: 1, numbers, valuesOf, ...ranges };
}

const dequantise = (bytes, low, high) => Float32Array.from(bytes, (byte) => low + ((high - low) * byte) / 255);

/** Weights of levels around zero: 127 is the largest magnitude, −128 not finite. */
function dequantiseSigned({ values, low, high }) {
	const limit = Math.max(-low.data[0], high.data[0]);
	return Float32Array.from(values.data, (level) => (level === -128 ? NaN : (limit * level) / 127));
}

/** Least and largest value of a frame's pictures; [∞, −∞] where none is finite. */
export function rangeOf({ info, arrays }) {
	const { low, high } = arrays;
	return info.range ?? [extent(low.data)[0], extent(high.data)[1]];
}

/** The scale of some ranges together. */
export function scaleOf(ranges, kind) {
	const [lows, highs] = [0, 1].map((end) => ranges.map((range) => range[end]));
	return commonScale(lows, highs, SIGNED.includes(kind));
}

/** One channel in several frames: the values of each. */
export function channelHistory(frames, kind) {
	return frames.map(({ arrays }) => {
		if (kind === "kernel_channels") return dequantiseSigned(arrays);
		const { values, low, high } = arrays;
		return isWeight(kind) ? values.data : dequantise(values.data, low.data[0], high.data[0]);
	});
}
