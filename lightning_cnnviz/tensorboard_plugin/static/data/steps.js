// Looking up logged steps.

/** The last of rising `steps` that is not after `time`, or null. */
export function stepAt(steps, time) {
	let [low, high] = [0, steps.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		if (steps[middle] <= time) low = middle + 1;
		else high = middle;
	}
	return low ? steps[low - 1] : null;
}

/** The steps of several lists, each once, rising. */
export const mergeSteps = (lists) => [...new Set(lists.flat())].sort((a, b) => a - b);
