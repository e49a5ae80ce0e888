// Ranges of values: clamping, extents, ticks of an axis, and the scales that colour maps are spread over.

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Least and largest of the finite values; [∞, −∞] where there are none. */
export function extent(values) {
	let [low, high] = [Infinity, -Infinity];
	for (const value of values) {
		if (!Number.isFinite(value)) continue;
		if (value < low) low = value;
		if (value > high) high = value;
	}
	return [low, high];
}

/** Largest finite magnitude of some values. */
function maxMagnitude(values) {
	const [low, high] = extent(values);
	return Math.max(0, -low, high);
}

/** A scale {low, high} around zero that holds all magnitudes. */
function symmetricScale(magnitudes) {
	const high = Math.max(extent(magnitudes)[1], 0);
	return { low: -high || -1e-30, high };
}

/** A common scale for several ranges: symmetric around zero if `signed`, or where values are negative. */
export function commonScale(lows, highs, signed) {
	const [low, high] = [extent(lows)[0], extent(highs)[1]];
	if (signed || low < 0) return symmetricScale([maxMagnitude(lows), maxMagnitude(highs)]);
	return { low: Number.isFinite(low) ? low : 0, high: Math.max(high, 0) };
}

/** The largest of 1, 2, 5, 10, … that is not above a positive value. */
export function niceFloor(value) {
	const power = 10 ** Math.floor(Math.log10(value));
	return [5, 2, 1].find((factor) => factor * power <= value * (1 + 1e-9)) * power;
}

/** Round numbers that divide a range into about `count` intervals. */
export function ticks(low, high, count) {
	if (!(high > low)) return [low];
	const rough = (high - low) / count;
	const power = 10 ** Math.floor(Math.log10(rough));
	const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
	const found = []; // from "+ 0", since an axis that begins at -0 says so
	for (let k = Math.ceil(low / step - 1e-9) + 0; k * step <= high + step * 1e-9; k++) found.push(k * step);
	return found;
}
