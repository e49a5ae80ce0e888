// The frames of all runs that are kept in memory, up to a number of bytes.

const CAPACITY = 384 * 2 ** 20;
const entries = new Map(); // the least recently used first
let size = 0;

/** Keeps a frame of a series as the most recently used; takes others away from their series where there is no room. */
export function keepFrame(series, frame) {
	const key = `${series.id}@${frame.step}`;
	if (!entries.delete(key)) size += frame.bytes;
	entries.set(key, [series, frame]);
	for (const [oldest, [owner, old]] of entries) {
		if (size <= CAPACITY || old === frame) break;
		size -= old.bytes;
		entries.delete(oldest);
		owner.frames.delete(old.step);
	}
}
