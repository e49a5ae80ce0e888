// Gradients of every layer at every step.
import { chooser, cutFront, h, look, options, panel, sharp, token, tooltip } from "./dom.js";
import { gradientRow, gradients } from "./facts.js";
import { extent, number, ticks, whole } from "./format.js";
import { colourAt, css, NON_FINITE, ramp, SEQUENTIAL } from "./palettes.js";
import { stepAt } from "./run.js";

const NAMES = { mean_abs: "mean |gradient|", max_abs: "max |gradient|", norm: "norm of the gradient", zero_share: "share of zeros",
	non_finite: "non-finite values", update_ratio: "update / weight" };
const LINEAR = ["zero_share", "non_finite"];
const [ROW, MOST, AXIS] = [20, 380, 34];

export class HeatMap {
	constructor(view, state) {
		Object.assign(this, { view, state });
		this.statistic = chooser("Statistic", (statistic) => state.set({ statistic }));
		this.legend = h("div", "scale");
		this.canvas = h("canvas", { onpointermove: this.hover, onpointerleave: () => tooltip(null),
			onclick: this.click });
		this.cursor = h("div", "cursor");
		this.stage = h("div", "stage", this.canvas, this.cursor);
		this.element = panel("gradients", "Gradient flow", [this.statistic, this.legend], this.stage);
	}

	get active() {
		return gradients(this.view.run).steps.length > 0;
	}

	draw({ clock, state }) {
		const flow = gradients(this.view.run);
		const known = flow.statistics;
		this.name = known.includes(state.now.statistic) ? state.now.statistic : known[0];
		options(this.statistic, known.map((name) => [name, NAMES[name] ?? name]), this.name);
		const width = this.stage.clientWidth;
		const key = [this.view.run.version, this.name, width, this.view.layer, look.key].join();
		if (key !== this.drawn) this.drawAll(flow, width);
		this.drawn = key;
		const at = flow.steps.indexOf(stepAt(flow.steps, clock.step));
		this.cursor.hidden = at < 0;
		Object.assign(this.cursor.style, { transform: `translateX(${this.edges[at] - 1}px)`, height: `${this.height + 2}px`,
			width: `${Math.max(this.edges[at + 1] - this.edges[at], 2) + 2}px` });
	}

	drawAll(flow, width) {
		const { names, steps } = flow;
		const context = this.canvas.getContext("2d");
		const font = `12px ${token("font")}`;
		context.font = font;
		const widest = extent(names.slice(0, 400).map((name) => context.measureText(name).width))[1];
		const row = Math.max(Math.min(width < 700 ? 2 * ROW : ROW, MOST / names.length), 0.4);
		const [height, left] = [row * names.length, Math.min(widest + 16, width * 0.3, 190)];
		// A column reaches half-way to the steps beside it.
		const gap = (steps.at(-1) - steps[0]) / (steps.length - 1) || 1;
		const [from, to] = [steps[0] - gap / 2, steps.at(-1) + gap / 2];
		const x = (step) => left + ((step - from) / (to - from)) * (width - left - 4);
		const edges = [...steps, to + gap / 2].map((step, index) => x((step + (steps[index - 1] ?? from - gap / 2)) / 2));
		Object.assign(this, { flow, row, height, left, edges });
		sharp(this.canvas, width, height + AXIS);
		const table = flow.frames.map((frame) => names.map((name) => gradientRow(frame, name)?.values[this.name]));
		const colour = this.colours(table);
		let drawn = -1;
		for (const [index, column] of table.entries()) {
			if (edges[index + 1] - drawn < 0.5) continue; // thinner than a pixel
			drawn = edges[index + 1];
			for (const [place, value] of column.entries()) {
				context.fillStyle = colour(value);
				context.fillRect(edges[index], place * row, Math.max(drawn - edges[index], 1) + 0.3, row + 0.3);
			}
		}
		Object.assign(context, { font, textBaseline: "middle", textAlign: "right" });
		const every = Math.ceil(14 / row);
		for (let place = every >> 1; place < names.length; place += every) {
			context.fillStyle = token(names[place] === this.view.layer ? "accent" : "text");
			context.fillText(cutFront(context, names[place], left - 12), left - 8, (place + 0.5) * row);
		}
		Object.assign(context, { fillStyle: token("quiet"), textAlign: "center", font: `11px ${token("font")}` });
		for (const step of ticks(Math.max(from, 0), to, width / 90).filter(Number.isInteger)) {
			context.fillRect(x(step), height, 1, 4);
			context.fillText(whole(step), Math.min(x(step), width - 24), height + 13);
		}
		context.textAlign = "left";
		context.fillText("optimizer step", left, height + 28);
	}

	/** The colour of a value, on a scale of all: logarithmic, but for shares and counts. Draws its legend. */
	colours(table) {
		const linear = LINEAR.includes(this.name);
		const way = linear ? (value) => value : Math.log;
		const all = table.flat();
		const [least, most] = extent(all.filter((value) => linear || value > 0));
		const low = linear ? 0 : least;
		const high = linear ? Math.max(most, 1) : most;
		const none = token("none");
		const known = least <= most;
		this.legend.replaceChildren(...(known ? [number(low), h("i", { class: "ramp", style: { background: ramp(SEQUENTIAL) } }), number(high),
			h("small", "", linear ? "linear" : "log")] : []), ...(all.every(Number.isFinite) ? [] : [h("i", "patch"), h("small", "", "no finite gradient")]));
		return (value) => {
			if (value === undefined || Number.isNaN(value)) return none;
			if (!Number.isFinite(value)) return css(NON_FINITE);
			const share = high > low ? (way(value) - way(low)) / (way(high) - way(low)) : 0.5;
			return css(colourAt(SEQUENTIAL, value > 0 || linear ? share : 0));
		};
	}

	/** What is under the pointer: the layer's name, and the column or −1. */
	at({ offsetX, offsetY }) {
		return [this.flow.names[Math.floor(offsetY / this.row)], offsetX < this.left ? -1 : this.edges.findLastIndex((edge) => offsetX >= edge)];
	}

	hover = (event) => {
		const [name, column] = this.at(event);
		const frame = this.flow.frames[column];
		if (name === undefined) return tooltip(null);
		if (!frame) return tooltip(event, h("b", "", name));
		const found = gradientRow(frame, name);
		return tooltip(event, h("div", "", h("b", "", name), h("div", "", `step ${whole(frame.step)}`),
			h("div", "", `${NAMES[this.name] ?? this.name}: ${number(found?.values[this.name])}`), h("small", "", found?.health ?? "not recorded")));
	};

	click = (event) => {
		const [name, column] = this.at(event);
		if (column >= 0 && this.flow.steps[column] !== undefined) this.view.seek(this.flow.steps[column]);
		else if (name !== undefined) this.state.set({ layer: name });
	};
}
