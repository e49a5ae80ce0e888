// Requests to the backend. Addresses are relative to the plugin's own, so any path prefix works.

const MAX_REQUESTS = 4;
const MAX_WAITING = 48;
const waiting = [];
let running = 0;
const TYPES = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array };

async function get(route, query) {
	const answer = await fetch(`${route}?${new URLSearchParams(query)}`, { cache: "no-store" });
	if (!answer.ok) throw new Error(`TensorBoard answered ${answer.status} to ${route}`);
	return answer;
}

export const runs = async () => (await get("runs", {})).json();
export const series = async (run, known) => (await get("series", { run, known })).json();

/** A request was given up, as there are many newer ones. */
export class SupersededError extends Error {}

/**
 * Frames of one series, perhaps not of all `steps`; or parts of them: at the index `place`, or of some `rows`, or with
 * the `arrays` of some names only. The newest request is served first: it is what the user looks at.
 */
export function frames(run, tag, steps, { place = [], rows = [], arrays = [] } = {}) {
	return new Promise((resolve, reject) => {
		const lists = Object.entries({ steps, place, rows, arrays }).map(([name, list]) => [name, list.join(",")]);
		waiting.push({ query: { run, tag, ...Object.fromEntries(lists) }, resolve, reject });
		if (waiting.length > MAX_WAITING) waiting.shift().reject(new SupersededError());
		pump();
	});
}

async function pump() {
	if (running >= MAX_REQUESTS || !waiting.length) return;
	const { query, resolve, reject } = waiting.pop();
	running++;
	try {
		resolve(unpack(await (await get("frames", query)).arrayBuffer()));
	} catch (error) {
		reject(error);
	}
	running--;
	pump();
}

/** The binary answer (see `pack` in frames.py) as [{step, written, bytes, error} or {…, info, arrays}]. */
function unpack(buffer) {
	const size = new DataView(buffer).getUint32(0, true);
	const directory = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
	let before = {};
	return directory.map(({ step, written, error, info, same = [], arrays = [] }) => {
		for (const name of same) info[name] = before[name];
		before = info ?? before;
		if (error) return { step, written, error, bytes: 0 };
		const read = { step, written, info, arrays: {}, bytes: 0 };
		for (const { name, dtype, shape, at } of arrays) {
			const type = TYPES[dtype];
			const count = shape.reduce((product, length) => product * length, 1);
			const start = 4 + size + at;
			// A copy: a view would hold the memory of the whole answer.
			const data = new type(buffer.slice(start, start + count * type.BYTES_PER_ELEMENT));
			read.arrays[name] = { data, shape };
			read.bytes += data.byteLength;
		}
		return read;
	});
}
