// What the backend answers, and what stands in a page that is a file.

const TYPES = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array };

/** A request was given up, as there are many newer ones. */
export class SupersededError extends Error {}

/** The binary answer (see `pack` in frames.py) as [{step, written, bytes, error} or {…, info, arrays}]. */
export function unpack(buffer) {
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
