// What a frame of kernels, feature maps or filter responses has for its channels: values, ranges, scales.
import { limitOf } from "./tiles.js";

/**
 * The channels of a frame as {w, h, planes, numbers, value(i) → values, low[i], high[i], mean?[i]}.
 * @param {object} frame of one of the three kinds
 * @param {number} sample which of the frame's samples; of no use for kernels
 */
export function channelsOf(frame, kind, sample) {
  const { values, low, high, mean } = frame.arrays;
  const numbers = frame.info.channels ?? [];
  if (kind === "kernels") {
    const [count, h, w, planes = 1] = values.shape;
    const size = h * w * planes;
    const value = (index) => values.data.subarray(index * size, (index + 1) * size);
    return { count, w, h, planes, numbers, value, low: low.data, high: high.data };
  }
  const [, count, h, w] = values.shape;
  const part = (array) => array.data.subarray(sample * count, (sample + 1) * count);
  const [lows, highs] = [part(low), part(high)];
  const value = (index) => {
    const at = (sample * count + index) * h * w;
    return unquantised(values.data.subarray(at, at + h * w), lows[index], highs[index]);
  };
  return { count, w, h, planes: 1, numbers, value, low: lows, high: highs, mean: part(mean) };
}

export const unquantised = (bytes, low, high) => Float32Array.from(bytes, (byte) => low + ((high - low) * byte) / 255);

/** A common scale {low, high} for some ranges: symmetric around zero where values are negative. */
export function scaleOf(lows, highs, always = false) {
  const limit = Math.max(limitOf(lows), limitOf(highs));
  const finite = [...lows].filter(Number.isFinite);
  const negative = always || finite.some((value) => value < 0);
  if (negative) return { low: -limit || -1e-30, high: limit };
  return { low: finite.length ? Math.min(...finite) : 0, high: Math.max(...[...highs].filter(Number.isFinite), 0) };
}

/** The scale of a frame's channels, or of one of them. */
export function scaleFor(channels, kind, index = null) {
  if (kind === "kernels") {
    const all = index === null ? Array.from({ length: channels.count }, (_, k) => channels.value(k)) : [channels.value(index)];
    const limit = Math.max(0, ...all.map(limitOf));
    return { low: -limit || -1e-30, high: limit };
  }
  if (index === null) return scaleOf(channels.low, channels.high, kind === "filter_response");
  return scaleOf([channels.low[index]], [channels.high[index]], kind === "filter_response");
}
