// Cells of values as pixels: coloured, laid out, never blurred.
import { clamp, h } from "./dom.js";
import { extent } from "./format.js";
import { css, DIVERGING, SEQUENTIAL, NON_FINITE } from "./palettes.js";

const scratch = document.createElement("canvas");
const GAP = 6;
const LABEL = 13;

/** Largest finite magnitude of some values. */
export function limitOf(values) {
	const [low, high] = extent(values);
	return Math.max(0, -low, high);
}

/** Values to RGBA: diverging where the scale goes below zero, else viridis; 3 planes are red, green, blue around mid-grey. */
export function colour(values, planes, { low, high }) {
	const count = values.length / planes;
	const pixels = new Uint8ClampedArray(count * 4).fill(255);
	const map = low < 0 ? DIVERGING : SEQUENTIAL;
	for (let k = 0; k < count; k++) {
		for (let p = 0; p < 3; p++) {
			const value = values[k * planes + (planes === 3 ? p : 0)];
			const share = high > low ? clamp((value - low) / (high - low), 0, 1) : low < 0 ? 0.5 : 0;
			if (!Number.isFinite(value)) pixels[4 * k + p] = NON_FINITE[p];
			else pixels[4 * k + p] = planes === 3 ? share * 255 : map[3 * Math.round(share * 254) + p];
		}
	}
	return pixels;
}

/** Where cells of w × h values go; `zoom` enlarges what fits. */
export function place(count, w, h, width, height, zoom) {
	let scale = 0.25;
	for (const wanted of [0.5, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28]) {
		const columns = Math.max(1, Math.floor((width + GAP) / (w * wanted + GAP)));
		const rows = Math.ceil(count / columns);
		if (w * wanted <= width && rows * (tall(h, wanted) + GAP + labels(w * wanted)) <= height) scale = wanted;
	}
	scale *= zoom;
	const [wide, high] = [w * scale, tall(h, scale)];
	const columns = Math.max(1, Math.min(count, Math.floor((width + GAP) / (wide + GAP))));
	const [right, down] = [wide + GAP, high + GAP + labels(wide)];
	const rows = Math.ceil(count / columns);
	return { columns, wide, high, right, down, scale, width: columns * right - GAP, height: rows * down, labelled: labels(wide) > 0 };
}

const labels = (wide) => (wide >= 22 ? LABEL : 0);
const tall = (h, scale) => Math.max(h * scale, 8); // flat strips can be seen, too

/** The number of the cell at a point, or −1. */
export function cellAt(layout, count, x, y) {
	const [column, row] = [Math.floor(x / layout.right), Math.floor(y / layout.down)];
	const inside = x - column * layout.right <= layout.wide && y - row * layout.down <= layout.high;
	const cell = row * layout.columns + column;
	return inside && column >= 0 && column < layout.columns && cell >= 0 && cell < count ? cell : -1;
}

/** Paints one cell of RGBA pixels. */
export function paint(context, pixels, w, h, x, y, wide, high) {
	if (!w || !h) return;
	if (scratch.width !== w || scratch.height !== h) Object.assign(scratch, { width: w, height: h });
	scratch.getContext("2d", { willReadFrequently: true }).putImageData(new ImageData(pixels, w, h), 0, 0);
	context.imageSmoothingEnabled = wide < w;
	context.drawImage(scratch, x, y, wide, high);
}

/** A frame around a cell. */
export function outline(context, x, y, wide, high, colourName, width = 1) {
	Object.assign(context, { strokeStyle: colourName, lineWidth: width });
	context.strokeRect(x - width / 2, y - width / 2, wide + width, high + width);
}

/** A sample's picture on a small canvas of its own, or a grey square where there is none. */
export function thumbnail(samples, index, size) {
	const { data, shape: [count, high, w] } = samples.thumbnails ?? { data: [], shape: [0, 1, 1, 3] };
	const style = { width: `${size}px`, height: `${size}px` };
	const canvas = h("canvas", { class: "thumb", style, width: w, height: high });
	const context = canvas.getContext("2d");
	if (index < 0 || index >= count) {
		context.fillStyle = css([128, 128, 128]);
		context.fillRect(0, 0, w, high);
		return canvas;
	}
	const pixels = new Uint8ClampedArray(w * high * 4).fill(255);
	for (let k = 0; k < w * high; k++) for (let p = 0; p < 3; p++) pixels[4 * k + p] = data[(index * w * high + k) * 3 + p];
	context.putImageData(new ImageData(pixels, w, high), 0, 0);
	return canvas;
}
