// Small images: values as coloured pixels, enlarged but never blurred, laid out in a grid.
import { colourAt, colours } from "./colours.js";
import { h } from "./dom.js";
import { averaged } from "./reduction.js";
import { clamp } from "./scales.js";
import { cssVariable } from "./theme.js";

export const GAP = 6;
const LABEL_HEIGHT = 13;
const SCALES = [0.5, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28];

const scratch = document.createElement("canvas");

/** Values to RGBA: diverging where the scale goes below zero, else sequential; 3 planes are red, green, blue around mid-grey. */
function toPixels(values, planes, { low, high }) {
	const count = values.length / planes;
	const pixels = new Uint8ClampedArray(count * 4).fill(255);
	const map = low < 0 ? colours.diverging : colours.sequential;
	for (let k = 0; k < count; k++) {
		for (let p = 0; p < 3; p++) {
			const value = values[k * planes + (planes === 3 ? p : 0)];
			const share = high > low ? clamp((value - low) / (high - low), 0, 1) : low < 0 ? 0.5 : 0;
			if (!Number.isFinite(value)) pixels[4 * k + p] = colours.non_finite[p];
			else pixels[4 * k + p] = planes === 3 ? share * 255 : colourAt(map, share)[p];
		}
	}
	return pixels;
}

/** Draws columns × rows values in a box: enlarged without blur, or averaged where they do not fit. */
export function drawValues(context, values, planes, scale, columns, rows, x, y, width, height) {
	if (!columns || !rows) return;
	const factor = Math.round(columns / width);
	const drawn = factor > 1 ? averaged(values, planes, columns, rows, factor) : { values, columns, rows };
	const size = { width: drawn.columns, height: drawn.rows };
	if (scratch.width !== size.width || scratch.height !== size.height) Object.assign(scratch, size);
	const pixels = new ImageData(toPixels(drawn.values, planes, scale), size.width, size.height);
	scratch.getContext("2d", { willReadFrequently: true }).putImageData(pixels, 0, 0);
	context.imageSmoothingEnabled = false;
	context.drawImage(scratch, x, y, width, height);
}

/** Draws the outline of a box, and chooses the colour of the text below it. */
export function drawOutline(context, x, y, width, height, marked) {
	const lineWidth = marked ? 2 : 1;
	Object.assign(context, { strokeStyle: cssVariable(marked ? "accent" : "rule"), lineWidth });
	context.strokeRect(x - lineWidth / 2, y - lineWidth / 2, width + lineWidth, height + lineWidth);
	context.fillStyle = cssVariable(marked ? "text" : "quiet");
}

/** A sample's picture on a canvas of its own, or a grey square where there is none. */
export function thumbnail({ thumbnails }, index, size) {
	const { data, shape } = thumbnails ?? { data: [], shape: [0, 1, 1, 3] };
	const [count, height, width] = shape;
	const style = { width: `${size}px`, height: `${size}px` };
	const canvas = h("canvas", { class: "thumbnail", "aria-hidden": "true", style, width, height });
	const context = canvas.getContext("2d");
	if (index < 0 || index >= count) {
		context.fillStyle = "rgb(128 128 128)";
		context.fillRect(0, 0, width, height);
		return canvas;
	}
	const area = width * height;
	const pixels = new Uint8ClampedArray(area * 4).fill(255);
	for (let k = 0; k < area; k++) for (let p = 0; p < 3; p++) pixels[4 * k + p] = data[(index * area + k) * 3 + p];
	context.putImageData(new ImageData(pixels, width, height), 0, 0);
	return canvas;
}

const labelHeight = (width) => (width >= 22 ? LABEL_HEIGHT : 0);

/** The height of an image of so many rows: flat ones can be seen, too. */
export const imageHeight = (rows, scale) => Math.max(rows * scale, 8);

/** Where `count` images of columns × rows values go; `zoom` enlarges what fits into width × height. */
export function gridLayout(count, columns, rows, width, height, zoom) {
	const perRow = (imageWidth) => Math.max(1, Math.floor((width + GAP) / (imageWidth + GAP)));
	const rowHeight = (scale) => imageHeight(rows, scale) + GAP + labelHeight(columns * scale);
	let scale = 0.25;
	for (const wanted of SCALES) {
		const needed = Math.ceil(count / perRow(columns * wanted)) * rowHeight(wanted);
		if (columns * wanted <= width && needed <= height) scale = wanted;
	}
	scale *= zoom;
	const imageWidth = columns * scale;
	const across = Math.max(1, Math.min(count, perRow(imageWidth)));
	return {
		across,
		imageWidth,
		imageHeight: imageHeight(rows, scale),
		stepX: imageWidth + GAP,
		stepY: rowHeight(scale),
		width: across * (imageWidth + GAP) - GAP,
		height: Math.ceil(count / across) * rowHeight(scale),
		labelled: labelHeight(imageWidth) > 0,
	};
}

/** The number of the image at a point, or −1. */
export function imageAt(layout, count, x, y) {
	const [column, row] = [Math.floor(x / layout.stepX), Math.floor(y / layout.stepY)];
	const inside = x - column * layout.stepX <= layout.imageWidth && y - row * layout.stepY <= layout.imageHeight;
	const index = row * layout.across + column;
	return inside && column >= 0 && column < layout.across && index >= 0 && index < count ? index : -1;
}
