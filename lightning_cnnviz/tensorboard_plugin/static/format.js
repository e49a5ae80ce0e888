// Numbers as people read them.

/** Three significant digits, with a true minus sign. */
export function number(value) {
	if (value === null || value === undefined || Number.isNaN(value)) return "n/a";
	if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
	const size = Math.abs(value);
	const text = size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
	return text.replace("e+", "e").replaceAll("-", "−");
}

export const whole = (value) => Number(value).toLocaleString("en");

/** A count in few letters: 1.2k, 15.1M. */
export function short(count) {
	for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
		if (count >= size) return `${Number((count / size).toPrecision(3))}${letter}`;
	}
	return String(count);
}

export const percent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "n/a");

/** The largest of 1, 2, 5, 10, … that is not above a positive value. */
export function round(value) {
	const power = 10 ** Math.floor(Math.log10(value));
	return [5, 2, 1].find((factor) => factor * power <= value * (1 + 1e-9)) * power;
}

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

/** Round numbers that part a range into about `count`. */
export function ticks(low, high, count) {
	if (!(high > low)) return [low];
	const rough = (high - low) / count;
	const power = 10 ** Math.floor(Math.log10(rough));
	const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
	const found = [];
	for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(k * step);
	return found;
}
