// The frames of all runs that are kept in memory, up to a number of bytes.

const CAPACITY = 384 * 2 ** 20;
const entries = new Map(); // frame → its series, the least recently used first
let size = 0;

/** Keeps a frame of a series as the most recently used; takes others away from their series where there is no room. */
export function keepFrame(series, frame) {
	if (!entries.delete(frame)) size += frame.bytes;
	entries.set(frame, series);
	for (const [oldest, owner] of entries) {
		if (size <= CAPACITY || oldest === frame) break;
		owner.drop(oldest);
	}
}

/** Forgets a frame that its series no longer has. */
export function dropFrame(frame) {
	if (entries.delete(frame)) size -= frame.bytes;
}
