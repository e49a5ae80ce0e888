// Gradients of every layer at every step.
import { gradientAt, gradientColumn, gradientsOf } from "../data/selectors.js";
import { resizeCanvas, truncateStart, write } from "../draw/canvas.js";
import { drawCells } from "../draw/cells.js";
import { colourAt, colourBar, colours, cssColour } from "../draw/colours.js";
import { dropdown, h, panel, setOptions, tooltip } from "../draw/dom.js";
import { formatInteger, formatNumber } from "../draw/format.js";
import { missingFills, missingLegend, NO_GRADIENT, NOT_FINITE, NOT_MEASURED } from "../draw/missing.js";
import { clamp, extent, ticks } from "../draw/scales.js";
import { appearance, cssVariable } from "../draw/theme.js";
import { widthOf } from "../draw/width.js";

const NAMES = {
	mean_abs: "mean |gradient|",
	max_abs: "max |gradient|",
	norm: "norm of the gradient",
	zero_share: "share of zeros",
	non_finite: "non-finite values",
	update_ratio: "update / weight",
};
const nameOf = (statistic) => NAMES[statistic] ?? statistic;
const LINEAR = ["zero_share", "non_finite"];
const [ROW_HEIGHT, MAX_HEIGHT, AXIS_HEIGHT, AROUND] = [20, 380, 34, 86];

/** The median distance of rising steps; 1 where there is only one. */
function usualGap(steps) {
	const gaps = steps.slice(1).map((step, k) => step - steps[k]);
	return gaps.sort((a, b) => a - b)[gaps.length >> 1] ?? 1;
}

const known = new WeakMap(); // column → its ranges

/** {all, positive: [least, most] of the numbers, missing: the kinds of cells without one} of a column. */
function rangesOf(column) {
	if (!known.has(column)) {
		const numbers = column.filter(Number.isFinite);
		const [all, positive] = [numbers, numbers.filter((value) => value > 0)].map(extent);
		known.set(column, { all, positive, missing: [...new Set(column.filter((value) => !Number.isFinite(value)))] });
	}
	return known.get(column);
}

export class GradientHeatMap {
	constructor(view) {
		this.view = view;
		this.select = dropdown("Statistic", (statistic) => view.state.set({ statistic }));
		this.legend = h("div", "scale");
		this.canvas = h("canvas", {
			tabIndex: 0,
			role: "application",
			"aria-label": "Gradients by layer and step. Up and down choose a layer, left and right a step.",
			onpointermove: (event) => this.tell(this.cellAt(event), event),
			onpointerleave: () => tooltip(null),
			onblur: () => tooltip(null),
			onclick: (event) => this.choose(...this.cellAt(event)),
			onkeydown: this.navigate,
		});
		this.cursor = h("div", "cursor");
		this.stage = h("div", "stage", this.canvas, this.cursor);
		this.element = panel("gradients", "Gradient flow", [this.select, this.legend], this.stage);
	}

	get active() {
		return gradientsOf(this.view.run).steps.length > 0;
	}

	/** The column whose frame is shown: that of the step, or the last before it. */
	get column() {
		const { steps } = this.gradients;
		return steps.indexOf(this.view.clock.stepIn(steps));
	}

	draw() {
		const { run, runs, state, clock, layer, room } = this.view;
		this.gradients = gradientsOf(run);
		const { statistics } = this.gradients;
		this.statistic = statistics.includes(state.values.statistic) ? state.values.statistic : statistics[0];
		setOptions(this.select, statistics, this.statistic, nameOf);
		const width = widthOf(this.stage, this.view.requestDraw);
		const [from, to] = [clock.steps[0], clock.steps.at(-1)];
		const versions = runs.map((one) => one.versionOf("series", "model", "gradients"));
		const key = [...versions, state.values.scale, this.statistic, width, room, layer, from, to, appearance.key].join();
		if (key !== this.drawn) this.drawMap(width, Math.min(MAX_HEIGHT, room - AROUND - AXIS_HEIGHT), from, to);
		this.drawn = key;
		const { column } = this;
		this.cursor.hidden = column < 0;
		const [left, right] = this.edges[column] ?? [0, 0];
		Object.assign(this.cursor.style, {
			transform: `translateX(${left - 1}px)`,
			height: `${this.height + 2}px`,
			width: `${Math.max(right - left, 2) + 2}px`,
		});
	}

	/** Draws the map on an axis from the first to the last step of all runs that are shown. */
	drawMap(width, highest, from, to) {
		const { layers, steps, frames } = this.gradients;
		const context = this.canvas.getContext("2d");
		const font = `12px ${cssVariable("font")}`;
		context.font = font;
		const widest = extent(layers.slice(0, 400).map((name) => context.measureText(name).width))[1];
		const rowHeight = Math.max(Math.min(width < 700 ? 2 * ROW_HEIGHT : ROW_HEIGHT, highest / layers.length), 0.4);
		const [height, left] = [rowHeight * layers.length, Math.min(widest + 16, width * 0.3, 190)];
		// A column is as wide as the usual distance of two steps, so that a gap between some is seen.
		const [margin, reach] = [this.view.clock.steps, steps].map((all) => usualGap(all) / 2);
		const [start, end] = [Math.min(from, steps[0]) - margin, Math.max(to, steps.at(-1)) + margin];
		const x = (step) => Math.round(left + ((clamp(step, start, end) - start) / (end - start)) * (width - left - 4));
		this.edges = steps.map((step, k) => [
			x(Math.max(step - reach, k ? (steps[k - 1] + step) / 2 : start)),
			x(Math.min(step + reach, k + 1 < steps.length ? (step + steps[k + 1]) / 2 : end)),
		]);
		Object.assign(this, { rowHeight, height, left });
		resizeCanvas(this.canvas, width, height + AXIS_HEIGHT);
		const table = frames.map((frame) => gradientColumn(frame, layers, this.statistic));
		const fills = missingFills(context);
		const colour = this.colourScale();
		const gapped = this.edges.some(([edge], k) => edge - (this.edges[k - 1]?.[1] ?? left) > 1);
		const missing = new Set(table.flatMap((column) => rangesOf(column).missing));
		if (gapped || width - 4 - this.edges.at(-1)[1] > 1) missing.add(NOT_MEASURED);
		this.legend.append(...missingLegend([...missing]));
		context.fillStyle = fills[NOT_MEASURED];
		context.fillRect(left, 0, width - left - 4, height);
		const finite = (value) => (Number.isFinite(value) ? colour(value) : null);
		drawCells(context, table, finite, this.edges, rowHeight);
		for (const kind of [NO_GRADIENT, NOT_FINITE].filter((one) => missing.has(one))) {
			drawCells(context, table, (value) => (value === kind ? "#000000" : null), this.edges, rowHeight, fills[kind]);
		}
		context.clearRect(left, height, width - left, 1);
		this.drawAxes(context, x, ticks(from, to, width / 60), width);
	}

	drawAxes(context, x, steps, width) {
		const { layers } = this.gradients;
		const { rowHeight, height, left } = this;
		Object.assign(context, { font: `12px ${cssVariable("font")}`, textBaseline: "middle" });
		const every = Math.ceil(14 / rowHeight);
		for (let row = every >> 1; row < layers.length; row += every) {
			const colour = layers[row] === this.view.layer ? "accent" : "text";
			write(
				context,
				truncateStart(context, layers[row], left - 12),
				left - 8,
				(row + 0.5) * rowHeight,
				"right",
				colour,
			);
		}
		Object.assign(context, { fillStyle: cssVariable("quiet"), font: `11px ${cssVariable("font")}` });
		for (const step of steps.filter(Number.isInteger)) {
			context.fillRect(x(step), height, 1, 4);
			write(context, formatInteger(step), Math.min(x(step), width - 24), height + 13, "center");
		}
		write(context, "optimizer step", left, height + 28, "left");
	}

	/** The colour of a number, on a logarithmic scale, but for shares and counts: one scale for all runs shown. Draws its legend. */
	colourScale() {
		const linear = LINEAR.includes(this.statistic);
		const transform = linear ? (value) => value : Math.log;
		const ranges = this.view
			.onScale(gradientsOf)
			.flatMap(([, { frames, layers }]) =>
				frames.map((frame) => rangesOf(gradientColumn(frame, layers, this.statistic))),
			);
		const [least, most] = extent(ranges.flatMap(({ all, positive }) => (linear ? all : positive)));
		const [low, high] = linear ? [0, Math.max(most, 1)] : [least, most];
		const kind = h("small", "", linear ? "linear" : "log");
		const bar = [formatNumber(low), colourBar(colours.sequential), formatNumber(high), kind];
		this.legend.replaceChildren(...(least <= most ? bar : []));
		return (value) => {
			const share = high > low ? (transform(value) - transform(low)) / (transform(high) - transform(low)) : 0.5;
			return cssColour(colourAt(colours.sequential, value > 0 || linear ? share : 0));
		};
	}

	/** What is under the pointer: row and column, −1 where there is none. */
	cellAt({ offsetX, offsetY }) {
		const row = Math.floor(offsetY / this.rowHeight);
		const column = this.edges.findIndex(([left, right]) => offsetX >= left && offsetX <= right);
		return [row < this.gradients.layers.length ? row : -1, column];
	}

	/** Shows the value of a cell beside a place. */
	tell([row, column], place) {
		const name = this.gradients.layers[row];
		if (name === undefined) return tooltip(null);
		const frame = this.gradients.frames[column];
		const value = frame ? gradientAt(frame, name, this.statistic) : NOT_MEASURED;
		const words = Number.isFinite(value) ? formatNumber(value) : value;
		const health = frame?.info.health?.[frame.info.layers.indexOf(name)];
		const lines = frame
			? [
					h("div", "", `step ${formatInteger(frame.step)}`),
					h("div", "", `${nameOf(this.statistic)}: ${words}`),
					h("small", "", health && health !== "none" ? health : ""),
				]
			: place.offsetX < this.left
				? []
				: [h("div", "", NOT_MEASURED)];
		return tooltip(place, h("div", "", h("b", "", name), ...lines));
	}

	/** Opens the layer of a row, at the step of a column if it has one. */
	choose(row, column) {
		const { layers, steps } = this.gradients;
		if (row >= 0) this.view.state.set({ layer: layers[row] });
		if (row >= 0 && column >= 0) this.view.seek(steps[column]);
	}

	navigate = (event) => {
		const [down, right] =
			{ ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [];
		if (down === undefined) return;
		event.preventDefault();
		event.stopPropagation();
		const { layers, steps } = this.gradients;
		const row = clamp(layers.indexOf(this.view.layer) + down, 0, layers.length - 1);
		const column = clamp(this.column + right, 0, steps.length - 1);
		this.choose(row, column);
		const { x, y } = this.canvas.getBoundingClientRect();
		const [clientX, clientY] = [x + this.edges[column][1], y + (row + 1) * this.rowHeight];
		this.tell([row, column], { clientX, clientY, offsetX: this.edges[column][1] });
	};
}
