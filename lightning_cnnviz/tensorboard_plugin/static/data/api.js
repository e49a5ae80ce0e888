// Requests to the backend. Addresses are relative to the plugin's own, so any path prefix works.
// A page that is a file has `embedded.js` in place of this module.
import { SupersededError, unpack } from "./answer.js";

/** Whether there may be more at any time. */
export const isLive = true;

const MAX_REQUESTS = 4;
const MAX_WAITING = 48;
const waiting = [];
let running = 0;

async function get(route, query) {
	const answer = await fetch(`${route}?${new URLSearchParams(query)}`, { cache: "no-store" });
	if (!answer.ok) throw new Error(`TensorBoard answered ${answer.status} to ${route}`);
	return answer;
}

export const runs = async () => (await get("runs", {})).json();
export const series = async (run, known) => (await get("series", { run, known })).json();

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
