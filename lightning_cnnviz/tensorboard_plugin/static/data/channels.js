// The channels of a frame of kernels, feature maps or filter responses: values, ranges, scales.
import { commonScale, maxMagnitude, symmetricScale } from "../draw/scales.js";

/** The channels of a frame, of its `sample`-th sample unless they are kernels. */
export function channelsOf(frame, kind, sample) {
	const { values, low, high, mean } = frame.arrays;
	const numbers = frame.info.channels ?? [];
	const [count, rows, columns, planes = 1] = kind === "kernels" ? values.shape : values.shape.slice(1);
	const size = rows * columns * planes;
	const shape = { count, rows, columns, planes, numbers };
	if (kind === "kernels") {
		const valuesOf = (index) => values.data.subarray(index * size, (index + 1) * size);
		return { ...shape, valuesOf, low: low.data, high: high.data };
	}
	const [lows, highs, means] = [low, high, mean].map(({ data }) => data.subarray(sample * count, (sample + 1) * count));
	const valuesOf = (index) => {
		const start = (sample * count + index) * size;
		return dequantise(values.data.subarray(start, start + size), lows[index], highs[index]);
	};
	return { ...shape, valuesOf, low: lows, high: highs, mean: means };
}

const dequantise = (bytes, low, high) => Float32Array.from(bytes, (byte) => low + ((high - low) * byte) / 255);

/** The common scale of a frame's channels. */
export function scaleOf(channels, kind) {
	if (kind !== "kernels") return commonScale(channels.low, channels.high, kind === "filter_response");
	return symmetricScale(Array.from({ length: channels.count }, (_, index) => maxMagnitude(channels.valuesOf(index))));
}

/** One channel in several frames: the values of each, and their common scale. */
export function channelHistory(frames, kind) {
	const data = frames.map((frame) => frame.arrays.values.data);
	if (kind === "kernels") return { values: data, scale: symmetricScale(data.map(maxMagnitude)) };
	const [lows, highs] = ["low", "high"].map((name) => frames.map((frame) => frame.arrays[name].data[0]));
	const values = data.map((bytes, k) => dequantise(bytes, lows[k], highs[k]));
	return { values, scale: commonScale(lows, highs, kind === "filter_response") };
}
