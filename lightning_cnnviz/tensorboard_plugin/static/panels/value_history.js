// One value of a channel over time, as a line.
import { drawLine, resizeCanvas, write } from "../draw/canvas.js";
import { colourAt, colours, cssColour } from "../draw/colours.js";
import { formatInteger, formatNumber } from "../draw/format.js";
import { extent, ticks } from "../draw/scales.js";
import { appearance, cssVariable } from "../draw/theme.js";
import { widthOf } from "../draw/width.js";
import { History } from "./history.js";

const [LEFT, RIGHT, TOP, AXIS] = [48, 12, 8, 16];

export class ValueHistory extends History {
	/** The step that is nearest to a place. */
	indexAt = (x) => {
		const distances = this.shown.map((step) => Math.abs(this.x(step) - x));
		return distances.indexOf(Math.min(...distances));
	};

	x = (step) => LEFT + ((step - this.shown[0]) / (this.shown.at(-1) - this.shown[0] || 1)) * this.span;

	/** Draws the value of a channel at all steps of a series; `name` is what the value is, `find` as in `drawPart`. */
	draw({ series }, index, channels, name, { find }) {
		const words = `Channel ${channels.numbers[index] ?? index}, ${name} over time`;
		this.drawPart(series, index < channels.count ? index : null, words, find);
	}

	/**
	 * Draws the value at an index at all steps of a series, on an axis that has room for some `marks`, and for the values of
	 * other runs on the same scale, in which `find` finds the series.
	 */
	drawPart(series, index, words, find, marks = []) {
		const { run, clock } = this.view;
		const width = widthOf(this.element, this.view.requestDraw);
		const place = { place: [index] };
		const frames =
			index === null ? [] : run.framesAt(series.partOf(place), series.steps).filter(({ arrays }) => arrays?.values);
		const all = index === null ? [] : this.view.framesOnScale((each) => find(each)?.partOf(place));
		const [low, high] = extent([...all.map(({ arrays }) => arrays.values?.data[0]), ...marks]);
		const current = clock.stepIn(series.steps);
		const key = [series.id, index, current, width, frames.length, low, high, appearance.key].join();
		if (key === this.drawn) return;
		Object.assign(this, { drawn: key, shown: series.steps, span: Math.max(width - LEFT - RIGHT, 10) });
		this.describe(words, current);
		const values = frames.map((frame) => frame.arrays.values.data[0]);
		const height = appearance.low ? 62 : 80;
		const bottom = height - AXIS;
		const y = (value) => (Number.isFinite(value) ? bottom - ((value - low) / (high - low || 1)) * (bottom - TOP) : NaN);
		const context = resizeCanvas(this.canvas, Math.max(width, 10), height);
		Object.assign(context, { font: `10px ${cssVariable("font")}`, textBaseline: "middle" });
		const line = (from, to, colour, size) => drawLine(context, [from, to], cssVariable(colour), size);
		for (const value of Number.isFinite(low) ? ticks(low, high, 2) : []) {
			line([LEFT, y(value)], [width - RIGHT, y(value)], "grid");
			write(context, formatNumber(value), LEFT - 6, y(value), "right");
		}
		line([LEFT, bottom], [width - RIGHT, bottom], "rule");
		const ends = [
			[this.shown[0], "left"],
			[this.shown.at(-1), "right"],
		];
		for (const [step, align] of ends.slice(0, this.shown.length))
			write(context, formatInteger(step), this.x(step), height - 6, align);
		const points = frames.map((frame, k) => [this.x(frame.step), y(values[k])]);
		drawLine(context, points, cssColour(colourAt(colours.diverging, 0.85)), 2);
		line([this.x(current), TOP - 4], [this.x(current), bottom], "accent");
	}
}
