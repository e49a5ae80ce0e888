// Canvases: their size, lines and text on them.
import { lettersOf } from "./format.js";
import { appearance } from "./theme.js";

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
	context.beginPath();
	let down = false;
	for (const [x, y] of points) {
		if (!Number.isNaN(y)) context[down ? "lineTo" : "moveTo"](x, y);
		down = !Number.isNaN(y);
	}
	context.stroke();
	if (points.length === 1 && down) context.fillRect(points[0][0] - 2, points[0][1] - 2, 4, 4);
	context.globalAlpha = 1;
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
