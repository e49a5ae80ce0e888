// Gradients of every layer at every step.
import { cutFront, h, options, sharp, token, tooltip } from "./dom.js";
import { gradientRow, gradients } from "./facts.js";
import { number, ticks, whole } from "./format.js";
import { colourAt, css, NON_FINITE, ramp, SEQUENTIAL } from "./palettes.js";
import { stepAt } from "./run.js";

const NAMES = { mean_abs: "mean |gradient|", max_abs: "max |gradient|", norm: "norm of the gradient", zero_share: "share of zeros",
  non_finite: "non-finite values", update_ratio: "update / weight" };
const LINEAR = ["zero_share", "non_finite"];
const [ROW, MOST, AXIS] = [20, 380, 34];

export class HeatMap {
  constructor(view, state) {
    Object.assign(this, { view, state });
    this.statistic = h("select", { "aria-label": "statistic", onchange: () => state.set({ statistic: this.statistic.value }) });
    this.legend = h("div", { class: "scale" });
    this.canvas = h("canvas", { onpointermove: (event) => this.hover(event), onpointerleave: () => tooltip(null),
      onclick: (event) => this.click(event) });
    this.cursor = h("div", { class: "cursor" });
    this.stage = h("div", { class: "stage" }, this.canvas, this.cursor);
    this.hint = h("p", { class: "hint" });
    this.element = h("section", { class: "panel gradients", "aria-label": "Gradient flow" },
      h("header", {}, h("h2", {}, "Gradient flow"), this.statistic, this.legend), this.hint, this.stage);
  }

  get active() {
    return this.view.run.of("gradients").length > 0;
  }

  draw({ clock, state }) {
    const { run } = this.view;
    const flow = gradients(run);
    const known = flow.statistics;
    this.name = known.includes(state.get("statistic")) ? state.get("statistic") : known[0];
    options(this.statistic, known.map((name) => [name, NAMES[name] ?? name]), this.name);
    const errors = [...run.failed].filter(([key]) => key.startsWith("cnnviz/gradients@")).map(([, words]) => words);
    this.hint.textContent = errors[0] ?? "";
    this.hint.hidden = !errors.length;
    const width = this.stage.clientWidth;
    const key = [run.version, this.name, width, this.view.layer, clock.steps[0], clock.steps.at(-1), document.documentElement.dataset.theme, devicePixelRatio].join();
    if (key !== this.drawn && flow.steps.length) this.drawAll(flow, width);
    this.drawn = key;
    const at = this.place(stepAt(flow.steps, clock.step));
    this.cursor.hidden = at < 0;
    if (at < 0) return;
    const [from, to] = [this.edge(at), this.edge(at + 1)];
    Object.assign(this.cursor.style, { transform: `translateX(${from - 1}px)`, width: `${Math.max(to - from, 2) + 2}px`, height: `${this.height + 2}px` });
  }

  place = (step) => (step === null ? -1 : this.steps?.indexOf(step) ?? -1);

  /** Where column `index` begins: half-way between its step and the one before. */
  edge(index) {
    const { steps } = this;
    const last = steps.length - 1;
    const gap = steps.length > 1 ? (steps[last] - steps[0]) / last : 1;
    const [before, after] = [steps[index - 1] ?? steps[0] - gap, steps[index] ?? steps[last] + gap];
    return this.x((before + after) / 2);
  }

  x(step) {
    return this.left + ((step - this.from) / (this.to - this.from)) * (this.width - this.left - 4);
  }

  drawAll(flow, width) {
    const context = sharp(this.canvas, 10, 10);
    context.font = `12px ${token("font")}`;
    const widest = flow.names.slice(0, 400).reduce((most, name) => Math.max(most, context.measureText(name).width), 0);
    const high = Math.max(Math.min(ROW, MOST / flow.names.length), 0.4);
    const { steps } = flow;
    const gap = steps.length > 1 ? (steps.at(-1) - steps[0]) / (steps.length - 1) : 1;
    Object.assign(this, { flow, steps, width, high, left: Math.min(widest + 16, width * 0.3, 190), height: high * flow.names.length,
      from: steps[0] - gap / 2, to: steps.at(-1) + gap / 2 });
    sharp(this.canvas, width, this.height + AXIS);
    context.font = `12px ${token("font")}`;
    context.textBaseline = "middle";
    const table = flow.frames.map((frame) => flow.names.map((name) => gradientRow(frame, name)?.values[this.name]));
    this.colours(table);
    table.forEach((column, index) => {
      const [from, to] = [this.edge(index), this.edge(index + 1)];
      column.forEach((value, row) => {
        context.fillStyle = this.colourOf(value);
        context.fillRect(from, row * high, Math.max(to - from, 1) + 0.3, high + 0.3);
      });
    });
    const every = Math.ceil(13 / high);
    context.textAlign = "right";
    flow.names.forEach((name, row) => {
      if (row % every) return;
      context.fillStyle = token(name === this.view.layer ? "accent" : "text");
      context.fillText(cutFront(context, name, this.left - 12), this.left - 8, (row + 0.5) * high);
    });
    Object.assign(context, { fillStyle: token("quiet"), textAlign: "center", font: `11px ${token("font")}` });
    for (const step of ticks(this.from, this.to, width / 130).filter(Number.isInteger)) {
      if (step < 0 || this.x(step) < this.left) continue;
      context.fillRect(this.x(step), this.height, 1, 4);
      context.fillText(whole(step), Math.min(this.x(step), width - 24), this.height + 13);
    }
    context.textAlign = "left";
    context.fillText("optimizer step", this.left, this.height + 28);
  }

  /** The scale of all values: logarithmic, but for shares and counts. */
  colours(table) {
    const linear = LINEAR.includes(this.name);
    const values = table.flat().filter((value) => Number.isFinite(value) && (linear || value > 0));
    const [least, most] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
    const low = linear ? 0 : least;
    const high = this.name === "zero_share" ? 1 : Math.max(most, linear ? 1 : most);
    const way = (value) => (linear ? value : Math.log(value));
    this.colourOf = (value) => {
      if (value === undefined || Number.isNaN(value)) return token("missing");
      if (!Number.isFinite(value)) return css(NON_FINITE);
      if (!linear && value <= 0) return css(colourAt(SEQUENTIAL, 0));
      return css(colourAt(SEQUENTIAL, high > low ? (way(value) - way(low)) / (way(high) - way(low)) : 0.5));
    };
    const known = values.length ? [number(low), h("i", { class: "ramp", style: { background: ramp(SEQUENTIAL) } }), number(high),
      h("small", {}, linear ? "linear" : "log")] : [];
    const missing = table.flat().some((value) => !Number.isFinite(value))
      ? [h("i", { class: "patch" }), h("small", {}, "no finite gradient")] : [];
    this.legend.replaceChildren(...known, ...missing);
  }

  cell(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    const row = Math.floor(y / this.high);
    const column = this.steps?.findIndex((_, index) => x >= this.edge(index) && x < this.edge(index + 1)) ?? -1;
    return { row: row < (this.flow?.names.length ?? 0) ? row : -1, column, label: x < this.left };
  }

  hover(event) {
    const { row, column, label } = this.cell(event);
    if (row < 0 || (column < 0 && !label)) return tooltip(null);
    const name = this.flow.names[row];
    if (label) return tooltip(event, h("b", {}, name));
    const found = gradientRow(this.flow.frames[column], name);
    return tooltip(event, h("div", {}, h("b", {}, name), h("div", {}, `step ${whole(this.steps[column])}`),
      h("div", {}, `${NAMES[this.name] ?? this.name}: ${number(found?.values[this.name])}`), h("small", {}, found?.health ?? "not recorded")));
  }

  click(event) {
    const { row, column, label } = this.cell(event);
    if (label && row >= 0) this.state.set({ layer: this.flow.names[row] });
    else if (column >= 0) this.view.seek(this.steps[column]);
  }
}
