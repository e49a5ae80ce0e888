// The names of classes over their points.
import { token } from "./dom.js";

const HIGH = 15; // pixels from one name to the next below

/** Writes names, [[text, x, y], …] by their middles, each with a rim; those that would lie over another move up or down. */
export function drawNames(context, names) {
	const places = names.map(([text, x, y]) => ({ text, x, y, wide: context.measureText(text).width }));
	part(places);
	Object.assign(context, { strokeStyle: token("stage"), fillStyle: token("text"), lineWidth: 3.5 });
	for (const { text, x, y } of places) {
		context.strokeText(text, x, y);
		context.fillText(text, x, y);
	}
}

function part(places) {
	let lacked = HIGH;
	for (let round = 0; round < 100 && lacked > 1; round++) {
		lacked = 0;
		for (const [k, a] of places.entries()) {
			for (const b of places.slice(k + 1)) {
				const lacking = HIGH - Math.abs(a.y - b.y);
				if (lacking <= 0 || 2 * Math.abs(a.x - b.x) > a.wide + b.wide) continue;
				const by = (a.y > b.y ? lacking : -lacking) / 2;
				a.y += by;
				b.y -= by;
				lacked = Math.max(lacked, lacking);
			}
		}
	}
}
