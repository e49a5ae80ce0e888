// What a layer has returned over time: the distribution of its values, step by step, and its numbers at the current one.
import { drawLine, resizeCanvas, write } from "../draw/canvas.js";
import { colourAt, colours, cssColour } from "../draw/colours.js";
import { h, showMessage, tooltip } from "../draw/dom.js";
import { firstRecorded, formatInteger, formatNumber, formatPercent } from "../draw/format.js";
import { missingFills, NOT_FINITE, NOT_MEASURED } from "../draw/missing.js";
import { clamp, extent, ticks } from "../draw/scales.js";
import { appearance, cssVariable } from "../draw/theme.js";
import { widthOf } from "../draw/width.js";
import { History } from "./history.js";

const [LEFT, TOP, AXIS] = [48, 4, 15];
const height = () => (appearance.low ? 46 : 110);
const SHARES = 44; // pixels for what is dead and saturated, below

export class Distribution extends History {
	constructor(view) {
		super(view);
		Object.assign(this, { frames: [], edges: [] });
		this.numbers = h("p", "numbers");
		const hide = () => tooltip(null);
		const tell = (event) => this.tell(this.indexAt(event.offsetX), event);
		Object.assign(this.canvas, { onpointermove: tell, onpointerleave: hide, onblur: hide });
		this.element = h("div", "distribution", this.title, this.numbers, this.canvas);
	}

	/** Draws the distributions of a series of activation statistics; hides itself where there is none. */
	draw(series) {
		this.element.hidden = !series;
		if (!series) return;
		const { run, clock, layer } = this.view;
		this.frames = run.framesAt(series, series.steps).filter((frame) => !frame.error);
		const steps = this.frames.map(({ step }) => step);
		const current = clock.stepIn(steps);
		this.column = steps.indexOf(current);
		const width = Math.max(widthOf(this.element, this.view.requestDraw), 160);
		const [from, to] = [clock.steps[0], clock.steps.at(-1)];
		const written = this.frames.map((frame) => frame.written);
		const all = this.view.framesOnScale((each) => each.findSeries("activations", layer)).map(({ info }) => info);
		this.values = extent(all.flatMap(({ low, high }) => [low, high]));
		this.highest = extent(all.flatMap(({ dead, saturated }) => [dead, saturated]))[1];
		const scale = [this.values, this.highest, from, to].join();
		const key = [series.id, current, clock.step, width, scale, written.join(), appearance.key].join();
		if (key === this.drawn) return;
		this.drawn = key;
		this.shown = steps;
		const shares = this.highest > -Infinity ? "; below, dead (—) and saturated (- -)" : "";
		this.describe(`Distribution over time, mean ± deviation${shares}`, current ?? "none");
		showMessage(this.numbers, steps.length && current === null ? firstRecorded(steps) : "");
		if (current !== null) {
			this.numbers.replaceChildren(...inNumbers(this.frames[this.column], current !== clock.step));
			this.numbers.hidden = false;
		}
		this.drawColumns(width, from, to);
	}

	drawColumns(width, from, to) {
		const { frames } = this;
		const below = this.highest > -Infinity ? SHARES : 0;
		const context = resizeCanvas(this.canvas, width, TOP + height() + AXIS + below);
		Object.assign(context, { font: `10px ${cssVariable("font")}`, textBaseline: "middle" });
		const [low, high] = this.values;
		const [least, most] = low < high ? [low, high] : low === high ? [low - 0.5, low + 0.5] : [0, 1];
		const y = (value) => TOP + ((most - value) / (most - least)) * height();
		const steps = frames.map(({ step }) => step);
		const gap = steps.length > 1 ? Math.min(...steps.slice(1).map((step, k) => step - steps[k])) : 1;
		const [start, stop] = [Math.min(from, ...steps) - gap / 2, Math.max(to, ...steps) + gap / 2];
		const x = (step) => LEFT + ((clamp(step, start, stop) - start) / (stop - start)) * (width - LEFT - 4);
		this.edges = steps.map((step) => {
			const [left, right] = [step - gap / 2, step + gap / 2].map((end) => Math.round(x(end)));
			return [left, Math.max(right, left + 1)];
		});
		const fills = missingFills(context);
		context.fillStyle = fills[NOT_MEASURED];
		context.fillRect(LEFT, TOP, width - LEFT - 4, height());
		for (const [k, { info, arrays }] of frames.entries())
			drawBins(context, info, arrays.counts.data, this.edges[k], y, fills);
		const within = (value) => clamp(y(value), TOP, TOP + height());
		for (const offset of [0, -1, 1])
			this.drawThrough(context, ({ mean, std }) => (mean === null ? null : mean + offset * std), within, offset);
		this.drawAxes(context, [least, most], y, [from, to], x, width);
		if (below) this.drawShares(context, width);
		if (this.column < 0) return;
		const [left, right] = this.edges[this.column];
		Object.assign(context, { strokeStyle: cssVariable("accent"), lineWidth: 2 });
		context.strokeRect(left, TOP, Math.max(right - left, 2), height());
	}

	/** Draws which shares of the units are dead and of the values saturated, as lines below the distributions. */
	drawShares(context, width) {
		const most = this.highest || 1;
		const y = (share) => TOP + height() + AXIS + 8 + (1 - share / most) * (SHARES - 16);
		for (const share of [0, most]) {
			const line = [LEFT, width - 4].map((x) => [x, y(share)]);
			drawLine(context, line, cssVariable("grid"));
			write(context, formatPercent(share), LEFT - 6, y(share), "right");
		}
		for (const name of ["dead", "saturated"]) this.drawThrough(context, (info) => info[name], y, name === "saturated");
	}

	/** Draws a value of all steps as a line, of which `y` tells the place. */
	drawThrough(context, read, y, dashed) {
		const middles = this.edges.map(([left, right]) => (left + right) / 2);
		const values = this.frames.map(({ info }) => read(info) ?? NaN);
		const points = values.map((value, k) => [middles[k], Number.isFinite(value) ? y(value) : NaN]);
		drawLine(context, points, cssVariable("stage"), 3.5);
		context.setLineDash(dashed ? [3, 3] : []);
		drawLine(context, points, cssVariable("text"), 1.2);
		context.setLineDash([]);
	}

	drawAxes(context, values, y, [from, to], x, width) {
		for (const value of ticks(...values, 4))
			write(context, formatNumber(value), LEFT - 6, clamp(y(value), 8, TOP + height()), "right");
		for (const step of ticks(from, to, width / 60).filter(Number.isInteger)) {
			write(context, formatInteger(step), clamp(x(step), LEFT, width - 20), TOP + height() + 10, "center");
		}
	}

	indexAt = (place) => this.edges.findIndex(([left, right]) => place >= left && place <= right);

	tell(column, place) {
		const frame = this.frames[column];
		if (!frame) return tooltip(null);
		const lines = inNumbers(frame).map((line) => h("div", "", line));
		return tooltip(place, h("div", "", h("b", "", `step ${formatInteger(frame.step)}`), ...lines));
	}
}

/** Draws the bins of one step, each as dark or light as a value there is frequent, from none to the most frequent. */
function drawBins(context, { low, high }, counts, [left, right], y, fills) {
	if (!counts.length) {
		context.fillStyle = fills[NOT_FINITE];
		context.fillRect(left, TOP, right - left, height());
		return;
	}
	context.fillStyle = cssVariable("card");
	context.fillRect(left, TOP, right - left, height());
	const largest = Math.max(...counts);
	const size = (high - low) / counts.length;
	for (const [k, count] of counts.entries()) {
		if (!count) continue;
		const [top, bottom] = (size ? [y(low + (k + 1) * size), y(low + k * size)] : [y(low) - 1.5, y(low) + 1.5]).map(
			Math.round,
		);
		context.fillStyle = cssColour(colourAt(colours.sequential, Math.sqrt(count / largest)));
		context.fillRect(left, top, right - left, Math.max(bottom - top, 1));
	}
}

/** What is known at one step, in words. */
function inNumbers({ step, info }, late = false) {
	const { mean, std, dead, units, saturated, non_finite, samples, split } = info;
	const share = (name, value, more = "") => value !== null && `${name} ${formatPercent(value)}${more}`;
	const unknown = Object.entries({ dead, saturated }).flatMap(([name, value]) => (value === null ? name : []));
	const words = [
		mean === null ? "no finite value" : `mean ${formatNumber(mean)} ± ${formatNumber(std)}`,
		share("dead", dead, ` (${Math.round((dead ?? 0) * units)} of ${units} units)`),
		share("saturated", saturated),
		unknown.length && `${unknown.join(" and ")} ${NOT_MEASURED}`,
		non_finite ? `${formatInteger(non_finite)} values not finite` : null,
		`${formatInteger(samples)} ${split} samples`,
		late ? `recorded at step ${formatInteger(step)}` : null,
	].filter(Boolean);
	return [words.join(" · ")];
}
