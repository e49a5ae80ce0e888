// Labels on a canvas that do not lie over one another.
import { cssVariable } from "./theme.js";

const LINE_HEIGHT = 15;

/** Draws labels, [[text, x, y], …] by their middles, each with a rim. */
export function drawLabels(context, labels) {
	const placed = declutter(labels.map(([text, x, y]) => ({ text, x, y, width: context.measureText(text).width })));
	Object.assign(context, { strokeStyle: cssVariable("stage"), fillStyle: cssVariable("text"), lineWidth: 3.5 });
	for (const { text, x, y } of placed) {
		context.strokeText(text, x, y);
		context.fillText(text, x, y);
	}
}

/** Moves labels that overlap apart, up and down. */
function declutter(labels) {
	let worst = LINE_HEIGHT;
	for (let round = 0; round < 100 && worst > 1; round++) {
		worst = 0;
		for (const [k, a] of labels.entries()) {
			for (const b of labels.slice(k + 1)) {
				const overlap = LINE_HEIGHT - Math.abs(a.y - b.y);
				if (overlap <= 0 || 2 * Math.abs(a.x - b.x) > a.width + b.width) continue;
				const shift = (a.y > b.y ? overlap : -overlap) / 2;
				a.y += shift;
				b.y -= shift;
				worst = Math.max(worst, overlap);
			}
		}
	}
	return labels;
}
