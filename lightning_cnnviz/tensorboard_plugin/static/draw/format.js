// Numbers as people read them.

/** Three significant digits, with a true minus sign. */
export function formatNumber(value) {
	if (value === null || value === undefined || Number.isNaN(value)) return "n/a";
	if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
	const size = Math.abs(value);
	const text =
		size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
	return text.replace("e+", "e").replaceAll("-", "−");
}

export const formatInteger = (value) => Number(value).toLocaleString("en");

/** What to say at a time before the first of some steps. */
export const firstRecorded = (steps) => `First recorded at step ${formatInteger(steps[0])}.`;

/** Of which step a picture is, where another step may be chosen. */
export function frameInWords(own, chosen) {
	const words = `Step ${formatInteger(own)}`;
	return own === chosen ? words : `${words}, the last recorded before step ${formatInteger(chosen)}`;
}

/** A count in few letters: 1.2k, 15.1M. */
export function formatCount(count) {
	for (const [size, letter] of [
		[1e9, "G"],
		[1e6, "M"],
		[1e3, "k"],
	]) {
		if (count >= size) return `${Number((count / size).toPrecision(3))}${letter}`;
	}
	return String(count);
}

export const formatPercent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "n/a");

const segmenter = new Intl.Segmenter();

/** The letters of a text as people count them: a syllable of Hindi or an emoji is one, however many characters it has. */
export const lettersOf = (text) => Array.from(segmenter.segment(text), ({ segment }) => segment);
