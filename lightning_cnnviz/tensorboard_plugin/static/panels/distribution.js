// What a layer has returned over time: the distribution of its values, step by step, and its numbers at the current one.
import { drawLine, resizeCanvas } from "../draw/canvas.js";
import { colourAt, colours, cssColour } from "../draw/colours.js";
import { h, showMessage, tooltip } from "../draw/dom.js";
import { firstRecorded, formatInteger, formatNumber, formatPercent } from "../draw/format.js";
import { missingFills, NOT_FINITE, NOT_MEASURED } from "../draw/missing.js";
import { clamp, extent, ticks } from "../draw/scales.js";
import { appearance, cssVariable } from "../draw/theme.js";
import { widthOf } from "../draw/width.js";

const [LEFT, TOP, AXIS] = [48, 4, 18];
const height = () => (appearance.low ? 64 : 110);

export class Distribution {
	constructor(view) {
		Object.assign(this, { view, frames: [], edges: [] });
		this.numbers = h("p", "numbers");
		this.canvas = h("canvas", {
			tabIndex: 0,
			role: "application",
			onpointermove: (event) => this.tell(this.columnAt(event.offsetX), event),
			onpointerleave: () => tooltip(null),
			onblur: () => tooltip(null),
			onclick: (event) => this.seek(this.columnAt(event.offsetX)),
			onkeydown: this.navigate,
		});
		const title = h("h3", "", "Distribution of the output over time, with mean ± standard deviation");
		this.element = h("div", "distribution", title, this.numbers, this.canvas);
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
		const key = [series.id, current, clock.step, width, from, to, written.join(), appearance.key].join();
		if (key === this.drawn) return;
		this.drawn = key;
		const label = `Distribution of the output of ${layer} over time, now at step ${current ?? "none"}.`;
		this.canvas.setAttribute("aria-label", `${label} Left and right choose a step.`);
		showMessage(this.numbers, steps.length && current === null ? firstRecorded(steps) : "");
		if (current !== null) {
			this.numbers.replaceChildren(...inNumbers(this.frames[this.column], current !== clock.step));
			this.numbers.hidden = false;
		}
		this.drawColumns(width, from, to);
	}

	drawColumns(width, from, to) {
		const { frames } = this;
		const context = resizeCanvas(this.canvas, width, TOP + height() + AXIS);
		Object.assign(context, { font: `10px ${cssVariable("font")}`, textBaseline: "middle" });
		const [low, high] = extent(frames.flatMap(({ info }) => [info.low, info.high]));
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
		for (const [offset, dash] of [
			[0, []],
			[-1, [3, 3]],
			[1, [3, 3]],
		]) {
			const points = frames.map(({ info }, k) => [
				(this.edges[k][0] + this.edges[k][1]) / 2,
				Number.isFinite(info.mean) ? clamp(y(info.mean + offset * info.std), TOP, TOP + height()) : NaN,
			]);
			drawLine(context, points, cssVariable("stage"), 3.5);
			context.setLineDash(dash);
			drawLine(context, points, cssVariable("text"), 1.2);
			context.setLineDash([]);
		}
		this.drawAxes(context, [least, most], y, [start, stop], x, width);
		if (this.column < 0) return;
		const [left, right] = this.edges[this.column];
		Object.assign(context, { strokeStyle: cssVariable("accent"), lineWidth: 2 });
		context.strokeRect(left, TOP, Math.max(right - left, 2), height());
	}

	drawAxes(context, values, y, [start, end], x, width) {
		Object.assign(context, { fillStyle: cssVariable("quiet"), textAlign: "right" });
		for (const value of ticks(...values, 4))
			context.fillText(formatNumber(value), LEFT - 6, clamp(y(value), 8, TOP + height()));
		context.textAlign = "center";
		for (const step of ticks(Math.max(start, 0), end, width / 90).filter(Number.isInteger)) {
			context.fillText(formatInteger(step), clamp(x(step), LEFT, width - 20), TOP + height() + 10);
		}
	}

	columnAt(place) {
		return this.edges.findIndex(([left, right]) => place >= left && place <= right);
	}

	tell(column, place) {
		const frame = this.frames[column];
		if (!frame) return tooltip(null);
		const lines = inNumbers(frame).map((line) => h("div", "", line));
		return tooltip(place, h("div", "", h("b", "", `step ${formatInteger(frame.step)}`), ...lines));
	}

	seek(column) {
		if (this.frames[column]) this.view.seek(this.frames[column].step);
	}

	navigate = (event) => {
		const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
		if (!by) return;
		event.preventDefault();
		event.stopPropagation();
		this.seek(clamp(this.column + by, 0, this.frames.length - 1));
	};
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
