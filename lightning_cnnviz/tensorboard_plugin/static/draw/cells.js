// Tables of values as coloured cells, pixel by pixel: a million of them takes as long as a hundred thousand rectangles.
import { appearance } from "./theme.js";

const words = new Map(); // CSS colour → the pixel in memory

function wordOf(context, colour) {
	const known = words.get(colour);
	if (known !== undefined) return known;
	context.fillStyle = colour;
	const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(context.fillStyle.slice(at, at + 2), 16));
	words.set(colour, ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0);
	return words.get(colour);
}

/** Draws the columns of a table between their `edges`; of cells that are thinner than a pixel some are seen. */
export function drawCells(context, table, colour, edges, rowHeight) {
	const ratio = appearance.pixelRatio;
	const places = edges.map((edge) => Math.round(edge * ratio));
	const [left, rows] = [places[0], table[0].length];
	const height = Math.max(1, Math.round(rows * rowHeight * ratio));
	const image = context.createImageData(Math.max(1, places.at(-1) - left), height);
	const pixels = new Uint32Array(image.data.buffer);
	const rowAt = Array.from({ length: height }, (_, y) => Math.min(Math.floor(y / rowHeight / ratio), rows - 1));
	for (const [k, column] of table.entries()) {
		const [from, to] = [places[k] - left, places[k + 1] - left];
		for (let y = 0; from < to && y < height; y++) {
			const at = y * image.width;
			pixels.fill(wordOf(context, colour(column[rowAt[y]])), at + from, at + to);
		}
	}
	context.putImageData(image, left, 0);
}
