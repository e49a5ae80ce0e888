// The channels of a frame of kernels, weights, feature maps or filter responses: values, ranges, scales.
import { commonScale, extent } from "../draw/scales.js";

/** Whether a kind shows weights, which have no samples. */
export const isWeight = (kind) => kind === "kernels" || kind === "weights";

/** The channels of a frame, of its `sample`-th sample unless they are weights. A unit of a linear layer is a channel. */
export function channelsOf(frame, kind, sample) {
	const { values, low, high, mean, channel_low, channel_high } = frame.arrays;
	const numbers = frame.info.channels ?? [];
	if (isWeight(kind)) {
		const [count, rows, columns, planes = 1] =
			kind === "kernels" ? values.shape : [values.shape[0], 1, values.shape[1]];
		const size = rows * columns * planes;
		const valuesOf = (index) => values.data.subarray(index * size, (index + 1) * size);
		return { count, rows, columns, planes, numbers, valuesOf, values: values.data, low: low.data, high: high.data };
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

/** Least and largest value of a frame's pictures; [∞, −∞] where none is finite. */
export function rangeOf({ info, arrays }) {
	const { low, high } = arrays;
	return info.range ?? [extent(low.data)[0], extent(high.data)[1]];
}

/** The scale of some ranges together. */
export function scaleOf(ranges, kind) {
	const signed = isWeight(kind) || kind === "filter_response";
	const [lows, highs] = [0, 1].map((end) => ranges.map((range) => range[end]));
	return commonScale(lows, highs, signed);
}

/** One channel in several frames: the values of each. */
export function channelHistory(frames, kind) {
	return frames.map(({ arrays: { values, low, high } }) =>
		isWeight(kind) ? values.data : dequantise(values.data, low.data[0], high.data[0]),
	);
}
