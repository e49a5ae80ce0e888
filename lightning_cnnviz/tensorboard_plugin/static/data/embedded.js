// The data that the page carries itself, in place of api.js where the page is a file: nothing is asked of anyone.
// Frames are in blocks, each some steps of one series, compressed; one is decoded when a frame in it is needed.
import { unpack } from "./answer.js";

const MAX_DECODED = 64; // blocks that stay decoded, of about a megabyte

const part = (id) => document.getElementById(id).textContent;
/** The runs: [{name, listing, blocks: tag → [[number, first step], …]}, …]. */
const contents = JSON.parse(part("contents"));
const decoded = new Map(); // number of a block → its frames by step, the one that was used last at the end

export const isLive = false;
export const colourTables = () => JSON.parse(part("colours"));
export const runs = async () => ({ runs: contents.map(({ name }) => ({ name })), others: [] });
export const series = async (name) => ({ digest: "whole", ...find(name).listing });

/** As in api.js. */
export async function frames(run, tag, steps, parts = {}) {
	const blocks = find(run).blocks[tag] ?? [];
	const found = steps.map(async (step) => {
		const block = blocks.findLast(([, first]) => first <= step);
		const frame = block && (await framesOf(block[0])).get(step);
		return frame && pick(frame, parts);
	});
	return (await Promise.all(found)).filter(Boolean);
}

const find = (name) => contents.find((run) => run.name === name);

function framesOf(number) {
	const frames = decoded.get(number) ?? decode(number);
	decoded.delete(number);
	decoded.set(number, frames);
	if (decoded.size > MAX_DECODED) decoded.delete(decoded.keys().next().value);
	return frames;
}

async function decode(number) {
	const text = atob(part(`block-${number}`));
	const bytes = new Uint8Array(text.length);
	for (let k = 0; k < bytes.length; k++) bytes[k] = text.charCodeAt(k); // `Uint8Array.from` takes ten times as long
	const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
	const list = unpack(await new Response(stream).arrayBuffer());
	return new Map(list.map((frame) => [frame.step, frame]));
}

/** A part of a frame, as `pick` of the backend takes it; always a new object, since whoever gets it adds to it. */
function pick({ arrays, info, ...frame }, { place = [], rows = [], arrays: names = [] }) {
	if (frame.error) return { ...frame };
	const picked = { ...frame, info: { ...info }, arrays: {}, bytes: 0 };
	for (const [name, array] of Object.entries(arrays)) {
		if (names.length && !names.includes(name)) continue;
		picked.arrays[name] = place.length || rows.length ? within(array, place, rows) : array;
		picked.bytes += picked.arrays[name].data.byteLength;
	}
	return picked;
}

/** An array indexed along its leading dimensions, and of what is left some rows. */
function within({ data, shape }, place, rows) {
	const rest = shape.slice(place.length);
	let [start, size] = [0, data.length];
	for (const [k, length] of shape.slice(0, place.length).entries()) {
		size /= length;
		start += place[k] * size;
	}
	if (!rows.length || !rest.length) return { data: data.slice(start, start + size), shape: rest };
	const row = size / rest[0];
	const some = new data.constructor(rows.length * row);
	for (const [k, index] of rows.entries()) {
		some.set(data.subarray(start + index * row, start + (index + 1) * row), k * row);
	}
	return { data: some, shape: [rows.length, ...rest.slice(1)] };
}
