// Loss and accuracy behind the slider of the timeline.
import { curvesOf } from "../data/selectors.js";
import { drawLine, resizeCanvas, write } from "../draw/canvas.js";
import { cssClassColour } from "../draw/colours.js";
import { h, updateChildren } from "../draw/dom.js";
import { formatInteger, formatNumber } from "../draw/format.js";
import { extent, ticks } from "../draw/scales.js";
import { appearance, cssVariable } from "../draw/theme.js";

export const [LEFT, RIGHT] = [56, 52]; // what the axes take at the sides
const [TOP, AXIS] = [10, 22];
const CLASSES = { loss: 0, accuracy: 6 }; // of which they have the colours
const SPLITS = { train: "training", val: "validation" };

const colourOf = (metric) => cssClassColour(CLASSES[metric], 10);

export class Curves {
	constructor() {
		this.canvas = h("canvas");
		this.legend = h("div", "key");
	}

	/** Draws the curves of runs over steps from `low` to `high`, of which `x` tells the place. */
	draw(runs, { width, low, high, x }, steps) {
		const height = appearance.low ? 88 : 116;
		const bottom = height - AXIS;
		const context = resizeCanvas(this.canvas, width, height);
		Object.assign(context, { font: `11px ${cssVariable("font")}`, textBaseline: "middle" });
		const end = width - RIGHT;
		const curves = runs.map(curvesOf);
		const axes = valueAxes(curves);
		for (const [metric, [least, most]] of Object.entries(axes)) {
			const y = (value) => bottom - ((value - least) / (most - least || 1)) * (bottom - TOP);
			for (const value of ticks(least, most, metric === "loss" ? 4 : 2)) {
				if (metric === "accuracy") write(context, `${Math.round(100 * value)} %`, end + 13, y(value), "left");
				else {
					drawHorizontal(context, end, y(value), "grid");
					write(context, formatNumber(value), LEFT - 8, y(value), "right");
				}
			}
			for (const [index, ofRun] of curves.entries()) {
				context.setLineDash(index ? [5, 4] : []);
				for (const split of Object.keys(SPLITS)) {
					const points = (ofRun[`${metric}/${split}`] ?? []).map(([, step, value]) => [
						x(step),
						value === null ? NaN : y(value),
					]);
					drawLine(context, points, colourOf(metric), ...(split === "val" ? [2, 1] : [1.2, 0.6]));
				}
			}
			context.setLineDash([]);
		}
		drawHorizontal(context, end, bottom, "rule");
		for (const step of steps.length * 3 < width ? steps : []) {
			const tick = [bottom, bottom + 4].map((y) => [x(step), y]);
			drawLine(context, tick, cssVariable("rule"));
		}
		for (const step of ticks(low, high, Math.max(2, width / 140)).filter(Number.isInteger)) {
			write(context, formatInteger(step), x(step), bottom + 14, "center");
		}
		write(context, "step", 6, bottom + 14, "left");
		this.drawLegend(runs, Object.keys(axes));
	}

	drawLegend(runs, metrics) {
		const recorded = runs.map((run) => run.seriesOf("curves").length);
		const entry = (style, borderColor, words) =>
			h("span", "", h("i", { class: `stroke ${style}`, style: { borderColor } }), words);
		const key = JSON.stringify([metrics, runs.map((run) => run.name), recorded, appearance.key]);
		updateChildren(this.legend, key, () => [
			...metrics.flatMap((metric) =>
				Object.entries(SPLITS).map(([split, words]) => entry(split, colourOf(metric), `${metric} ${words}`)),
			),
			...(runs.length > 1
				? runs.map((run, index) => entry(index ? "dashed" : "", cssVariable("quiet"), run.name))
				: []),
			metrics.length ? null : recorded.some(Boolean) ? "no finite loss or accuracy" : "no curves: add LossAccuracy()",
		]);
	}
}

/** Metric → [least, most] of its axis, for the metrics that have finite values. */
function valueAxes(curves) {
	const finite = (metric) =>
		curves
			.flatMap((ofRun) => Object.keys(SPLITS).flatMap((split) => ofRun[`${metric}/${split}`] ?? []))
			.map((point) => point[2])
			.filter(Number.isFinite);
	const axes = {};
	const [low, high] = extent(finite("loss"));
	if (high >= low) axes.loss = [Math.min(0, low), Math.max(1e-9, high)];
	if (finite("accuracy").length) axes.accuracy = [0, 1];
	return axes;
}

function drawHorizontal(context, end, y, colour) {
	const points = [LEFT, end].map((x) => [x, y]);
	drawLine(context, points, cssVariable(colour));
}
