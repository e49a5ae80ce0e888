// Tables of values as coloured cells, pixel by pixel: a million of them takes as long as a hundred thousand rectangles.
import { h } from "./dom.js";
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

/**
 * Draws the columns of a table over their `spans`, [from, to] in CSS pixels, each at least a pixel wide; of rows that are
 * thinner than a pixel some are seen. Cells whose `colour` is null stay as they are; a pattern may take the colour's place.
 */
export function drawCells(context, table, colour, spans, rowHeight, pattern = null) {
	const ratio = appearance.pixelRatio;
	const places = spans.map((span) => span.map((edge) => Math.round(edge * ratio)));
	const [left, rows] = [places[0][0], table[0].length];
	const height = Math.max(1, Math.round(rows * rowHeight * ratio));
	const sheet = h("canvas", { width: Math.max(1, places.at(-1)[1] - left), height });
	const onto = sheet.getContext("2d");
	const image = onto.createImageData(sheet.width, height);
	const pixels = new Uint32Array(image.data.buffer);
	const rowAt = Array.from({ length: height }, (_, y) => Math.min(Math.floor(y / rowHeight / ratio), rows - 1));
	for (const [k, column] of table.entries()) {
		const from = places[k][0] - left;
		const to = Math.max(places[k][1] - left, from + 1);
		for (let y = 0; y < height; y++) {
			const own = colour(column[rowAt[y]]);
			if (own !== null) pixels.fill(wordOf(onto, own), y * image.width + from, y * image.width + to);
		}
	}
	onto.putImageData(image, 0, 0);
	if (pattern) {
		Object.assign(onto, { globalCompositeOperation: "source-in", fillStyle: pattern });
		onto.fillRect(0, 0, sheet.width, height);
	}
	context.imageSmoothingEnabled = false;
	context.drawImage(sheet, left / ratio, 0, sheet.width / ratio, height / ratio);
}
