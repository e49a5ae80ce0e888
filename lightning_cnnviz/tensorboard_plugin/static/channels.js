// What a frame of kernels, feature maps or filter responses has for its channels: values, ranges, scales.
import { extent } from "./format.js";
import { limitOf } from "./tiles.js";

/** The channels of a frame, of its `sample`-th sample unless they are kernels. */
export function channelsOf(frame, kind, sample) {
	const { values, low, high, mean } = frame.arrays;
	const numbers = frame.info.channels ?? [];
	const [count, h, w, planes = 1] = kind === "kernels" ? values.shape : values.shape.slice(1);
	const size = h * w * planes;
	if (kind === "kernels") {
		const value = (index) => values.data.subarray(index * size, (index + 1) * size);
		return { count, w, h, planes, numbers, value, low: low.data, high: high.data };
	}
	const [lows, highs, means] = [low, high, mean].map(({ data }) => data.subarray(sample * count, (sample + 1) * count));
	const value = (index) => {
		const at = (sample * count + index) * size;
		return unquantised(values.data.subarray(at, at + size), lows[index], highs[index]);
	};
	return { count, w, h, planes, numbers, value, low: lows, high: highs, mean: means };
}

export const unquantised = (bytes, low, high) => Float32Array.from(bytes, (byte) => low + ((high - low) * byte) / 255);

/** A scale around zero that holds all magnitudes. */
export function symmetric(limits) {
	const limit = Math.max(extent(limits)[1], 0);
	return { low: -limit || -1e-30, high: limit };
}

/** A common scale {low, high} for some ranges: symmetric around zero where values are negative. */
export function scaleOf(lows, highs, always = false) {
	const [low, high] = [extent(lows)[0], extent(highs)[1]];
	return always || low < 0 ? symmetric([limitOf(lows), limitOf(highs)]) : { low: Number.isFinite(low) ? low : 0, high: Math.max(high, 0) };
}

/** The common scale of a frame's channels. */
export function scaleFor(channels, kind) {
	if (kind !== "kernels") return scaleOf(channels.low, channels.high, kind === "filter_response");
	return symmetric(Array.from({ length: channels.count }, (_, k) => limitOf(channels.value(k))));
}
