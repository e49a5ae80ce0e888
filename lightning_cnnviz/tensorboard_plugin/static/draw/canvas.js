// Canvases: their size, lines and text on them.
import { lettersOf } from "./format.js";
import { appearance, cssVariable } from "./theme.js";

/** Gives a canvas a size in CSS pixels, sharp on every screen, and returns its cleared context. */
export function resizeCanvas(canvas, width, height) {
	const ratio = appearance.pixelRatio;
	const [columns, rows] = [width, height].map((length) => Math.max(1, Math.round(length * ratio)));
	if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
	Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
	const context = canvas.getContext("2d");
	context.setTransform(ratio, 0, 0, ratio, 0, 0);
	context.clearRect(0, 0, width, height);
	return context;
}

/** Draws a line through points, with gaps where y is NaN; a point alone is a dot. */
export function drawLine(context, points, colour, width = 1, alpha = 1) {
	Object.assign(context, {
		strokeStyle: colour,
		fillStyle: colour,
		lineWidth: width,
		lineJoin: "round",
		globalAlpha: alpha,
	});
	const known = (k) => !Number.isNaN(points[k]?.[1] ?? Number.NaN);
	context.beginPath();
	for (const [k, [x, y]] of points.entries()) {
		if (!known(k)) continue;
		context[known(k - 1) ? "lineTo" : "moveTo"](x, y);
		if (!known(k - 1) && !known(k + 1)) context.fillRect(x - 2, y - 2, 4, 4);
	}
	context.stroke();
	context.globalAlpha = 1;
}

/** Writes a text beside what is drawn. */
export function write(context, text, x, y, textAlign, colour = "quiet") {
	Object.assign(context, { textAlign, fillStyle: cssVariable(colour) });
	context.fillText(text, x, y);
}

/** Cuts text in front to a width, as the names of layers differ at their ends. */
export function truncateStart(context, text, width) {
	if (context.measureText(text).width <= width) return text;
	const signs = lettersOf(text);
	const cut = (from) => `…${signs.slice(from).join("")}`;
	let [low, high] = [0, signs.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		if (context.measureText(cut(middle)).width <= width) high = middle;
		else low = middle + 1;
	}
	return cut(low);
}
