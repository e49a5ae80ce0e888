// Gradients of every layer at every step.
import { gradientColumn, gradientsOf, layerGradients } from "../data/selectors.js";
import { resizeCanvas, truncateStart } from "../draw/canvas.js";
import { drawCells } from "../draw/cells.js";
import { colourAt, colourBar, colours, cssColour } from "../draw/colours.js";
import { dropdown, h, panel, setOptions, tooltip } from "../draw/dom.js";
import { formatInteger, formatNumber } from "../draw/format.js";
import { extent, ticks } from "../draw/scales.js";
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
const [ROW_HEIGHT, MAX_HEIGHT, AXIS_HEIGHT] = [20, 380, 34];

const known = new WeakMap(); // column → its ranges

/** {all, positive: [least, most] of the finite values, whole: whether all are finite} of a column. */
function rangesOf(column) {
	if (!known.has(column)) {
		const [all, positive] = [column, column.filter((value) => value > 0)].map(extent);
		known.set(column, { all, positive, whole: column.every(Number.isFinite) });
	}
	return known.get(column);
}

export class GradientHeatMap {
	constructor(view) {
		this.view = view;
		this.select = dropdown("Statistic", (statistic) => view.state.set({ statistic }));
		this.legend = h("div", "scale");
		this.canvas = h("canvas", { onpointermove: this.hover, onpointerleave: () => tooltip(null), onclick: this.click });
		this.cursor = h("div", "cursor");
		this.stage = h("div", "stage", this.canvas, this.cursor);
		this.element = panel("gradients", "Gradient flow", [this.select, this.legend], this.stage);
	}

	get active() {
		return gradientsOf(this.view.run).steps.length > 0;
	}

	draw() {
		const { run, state, clock, layer } = this.view;
		const gradients = gradientsOf(run);
		const { steps, statistics } = gradients;
		this.statistic = statistics.includes(state.values.statistic) ? state.values.statistic : statistics[0];
		setOptions(this.select, statistics, this.statistic, nameOf);
		const width = widthOf(this.stage, this.view.requestDraw);
		const key = [run.versionOf("series", "model", "gradients"), this.statistic, width, layer, appearance.key].join();
		if (key !== this.drawn) this.drawMap(gradients, width);
		this.drawn = key;
		const column = steps.indexOf(clock.stepIn(steps));
		this.cursor.hidden = column < 0;
		const [left, right] = this.edges.slice(column);
		Object.assign(this.cursor.style, {
			transform: `translateX(${left - 1}px)`,
			height: `${this.height + 2}px`,
			width: `${Math.max(right - left, 2) + 2}px`,
		});
	}

	drawMap(gradients, width) {
		const { layers, steps } = gradients;
		const context = this.canvas.getContext("2d");
		const font = `12px ${cssVariable("font")}`;
		context.font = font;
		const widest = extent(layers.slice(0, 400).map((name) => context.measureText(name).width))[1];
		const rowHeight = Math.max(Math.min(width < 700 ? 2 * ROW_HEIGHT : ROW_HEIGHT, MAX_HEIGHT / layers.length), 0.4);
		const [height, left] = [rowHeight * layers.length, Math.min(widest + 16, width * 0.3, 190)];
		// A column reaches half-way to the steps beside it.
		const gap = (steps.at(-1) - steps[0]) / (steps.length - 1) || 1;
		const [from, to] = [steps[0] - gap / 2, steps.at(-1) + gap / 2];
		const x = (step) => left + ((step - from) / (to - from)) * (width - left - 4);
		const edges = [...steps, to + gap / 2].map((step, index) => x((step + (steps[index - 1] ?? from - gap / 2)) / 2));
		Object.assign(this, { gradients, rowHeight, height, left, edges });
		resizeCanvas(this.canvas, width, height + AXIS_HEIGHT);
		const table = gradients.frames.map((frame) => gradientColumn(frame, layers, this.statistic));
		drawCells(context, table, this.colourScale(table), edges, rowHeight);
		Object.assign(context, { font, textBaseline: "middle", textAlign: "right" });
		const every = Math.ceil(14 / rowHeight);
		for (let row = every >> 1; row < layers.length; row += every) {
			context.fillStyle = cssVariable(layers[row] === this.view.layer ? "accent" : "text");
			context.fillText(truncateStart(context, layers[row], left - 12), left - 8, (row + 0.5) * rowHeight);
		}
		Object.assign(context, {
			fillStyle: cssVariable("quiet"),
			textAlign: "center",
			font: `11px ${cssVariable("font")}`,
		});
		for (const step of ticks(Math.max(from, 0), to, width / 90).filter(Number.isInteger)) {
			context.fillRect(x(step), height, 1, 4);
			context.fillText(formatInteger(step), Math.min(x(step), width - 24), height + 13);
		}
		context.textAlign = "left";
		context.fillText("optimizer step", left, height + 28);
	}

	/** The colour of a value in a table, on a logarithmic scale, but for shares and counts. Draws its legend. */
	colourScale(table) {
		const linear = LINEAR.includes(this.statistic);
		const transform = linear ? (value) => value : Math.log;
		const ranges = table.map(rangesOf);
		const [least, most] = extent(ranges.flatMap(({ all, positive }) => (linear ? all : positive)));
		const [low, high] = linear ? [0, Math.max(most, 1)] : [least, most];
		const none = cssVariable("none");
		const bar = [
			formatNumber(low),
			colourBar(colours.sequential),
			formatNumber(high),
			h("small", "", linear ? "linear" : "log"),
		];
		const missing = [h("i", "patch"), h("small", "", "no finite gradient")];
		this.legend.replaceChildren(...(least <= most ? bar : []), ...(ranges.every(({ whole }) => whole) ? [] : missing));
		return (value) => {
			if (value === undefined || Number.isNaN(value)) return none;
			if (!Number.isFinite(value)) return cssColour(colours.non_finite);
			const share = high > low ? (transform(value) - transform(low)) / (transform(high) - transform(low)) : 0.5;
			return cssColour(colourAt(colours.sequential, value > 0 || linear ? share : 0));
		};
	}

	/** What is under the pointer: the layer's name, and the column or −1. */
	cellAt({ offsetX, offsetY }) {
		const column = offsetX < this.left ? -1 : this.edges.findLastIndex((edge) => offsetX >= edge);
		return [this.gradients.layers[Math.floor(offsetY / this.rowHeight)], column];
	}

	hover = (event) => {
		const [name, column] = this.cellAt(event);
		const frame = this.gradients.frames[column];
		if (name === undefined) return tooltip(null);
		if (!frame) return tooltip(event, h("b", "", name));
		const found = layerGradients(frame, name);
		const value = formatNumber(found?.values[this.statistic]);
		return tooltip(
			event,
			h(
				"div",
				"",
				h("b", "", name),
				h("div", "", `step ${formatInteger(frame.step)}`),
				h("div", "", `${nameOf(this.statistic)}: ${value}`),
				h("small", "", found?.health ?? "not recorded"),
			),
		);
	};

	click = (event) => {
		const [name, column] = this.cellAt(event);
		const step = this.gradients.steps[column];
		if (step !== undefined) this.view.seek(step);
		else if (name !== undefined) this.view.state.set({ layer: name });
	};
}
