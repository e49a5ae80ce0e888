// All samples as a cloud that moves as the network learns.
import { h, options, refill, sharp, token, tooltip } from "./dom.js";
import { samples } from "./facts.js";
import { Followed } from "./followed.js";
import { number, percent, ticks, whole } from "./format.js";
import { layoutAt, trail } from "./motion.js";
import { classColour, css } from "./palettes.js";
import { Scatter } from "./scatter.js";
import { thumbnail } from "./tiles.js";

const HEIGHT = 440;
const PADDING = 26;
const METHODS = { tsne: "t-SNE", pca: "PCA", umap: "UMAP" };
const MOST_NAMES = 20;
const MOST_TRAILS = 40;
const NUMBERS = { knn_accuracy: ["k-NN accuracy", percent], trustworthiness: ["trustworthiness", number],
  silhouette: ["silhouette", number], divergence: ["divergence", number], movement: ["movement", number] };

export class ProjectionPanel {
  constructor(view, state) {
    Object.assign(this, { view, state, hovered: -1, lasso: null });
    this.layer = h("select", { "aria-label": "layer of the projection", onchange: () => state.set({ plot: this.layer.value }) });
    this.method = h("select", { "aria-label": "method", onchange: () => state.set({ method: this.method.value }) });
    this.numbers = h("span", { class: "aside" });
    this.canvas = h("canvas", { class: "points" });
    this.overlay = h("canvas", { class: "overlay", tabIndex: 0, role: "img", "aria-label": "projection of all samples",
      onpointerdown: (event) => this.press(event), onpointermove: (event) => this.move(event),
      onpointerup: (event) => this.release(event), onpointerleave: () => this.leave() });
    this.stage = h("div", { class: "stage", style: { height: `${HEIGHT}px` } }, this.canvas, this.overlay);
    this.scatter = new Scatter(this.canvas);
    this.classes = h("div", { class: "classes", role: "group", "aria-label": "Classes" });
    this.hint = h("p", { class: "hint" });
    this.followed = new Followed(view, state);
    this.element = h("section", { class: "panel projection", "aria-label": "Projection" },
      h("header", {}, h("h2", {}, "Projection"), this.layer, this.method, this.numbers),
      this.hint, this.stage, this.classes, this.followed.element);
  }

  get active() {
    return this.view.run.of("projection").length > 0;
  }

  choose(state) {
    const all = this.view.run.of("projection");
    const names = [...new Set(all.map((series) => series.layer))];
    const layer = [state.get("plot"), this.view.layer, names.at(-1)].find((name) => names.includes(name));
    const methods = all.filter((series) => series.layer === layer).map((series) => series.method);
    const method = [state.get("method"), "tsne", methods[0]].find((name) => methods.includes(name));
    options(this.layer, names.map((name) => [name, name]), layer);
    options(this.method, methods.map((name) => [name, METHODS[name] ?? name]), method);
    return this.view.run.find("projection", layer, { method });
  }

  draw({ clock, state }) {
    const { run } = this.view;
    const series = this.choose(state);
    if (!series) return;
    run.frame(series, clock.step);
    run.request(series, series.steps);
    const known = samples(run);
    const now = layoutAt(run, series, clock.time, known.targets, known.classes.length);
    this.hint.textContent = now === null ? `First recorded at step ${whole(series.steps[0])}.` : (now.error ?? "");
    this.hint.hidden = !this.hint.textContent;
    if (now?.waiting && this.series === series) return;
    Object.assign(this, { series, now: now?.points ? now : null, known, time: clock.time });
    this.numbers.textContent = Object.entries(now?.frame?.info.numbers ?? {}).filter(([name, value]) => NUMBERS[name] && value !== null)
      .slice(0, 2).map(([name, value]) => `${NUMBERS[name][0]} ${NUMBERS[name][1](value)}`).join(" · ");
    this.drawClasses(state);
    this.drawPoints(state);
    this.followed.draw(clock, state, series, known);
  }

  drawClasses(state) {
    const { classes } = this.known;
    const only = state.get("classes");
    refill(this.classes, JSON.stringify([classes, only.length > 0]), () => [
      ...classes.map((name, index) => h("button", { type: "button", class: "chip",
        title: "Show this class only; with Shift add it", onclick: (event) => this.isolate(index, event.shiftKey || event.ctrlKey || event.metaKey) },
      h("i", { class: "dot", style: { background: css(classColour(index, classes.length)) } }), name)),
      only.length ? h("button", { type: "button", class: "chip plain", onclick: () => state.set({ classes: [] }) }, "show all") : null,
    ]);
    classes.forEach((_, index) => {
      this.classes.children[index].setAttribute("aria-pressed", String(only.includes(index)));
      this.classes.children[index].classList.toggle("away", only.length > 0 && !only.includes(index));
    });
  }

  isolate(index, more) {
    const only = this.state.get("classes");
    const next = more ? (only.includes(index) ? only.filter((k) => k !== index) : [...only, index])
      : only.length === 1 && only[0] === index ? [] : [index];
    this.state.set({ classes: next });
  }

  drawPoints(state) {
    const width = this.stage.clientWidth;
    this.scatter.resize(width, HEIGHT);
    const background = token("stage").match(/\d+/g).map(Number);
    const { now } = this;
    const count = now ? now.points.length / 2 : 0;
    const [left, right, low, high] = now?.bounds ?? [0, 1, 0, 1];
    const scale = Math.min((width - 2 * PADDING) / (right - left || 1), (HEIGHT - 2 * PADDING) / (high - low || 1));
    this.toScreen = (x, y) => [width / 2 + (x - (left + right) / 2) * scale, HEIGHT / 2 - (y - (low + high) / 2) * scale];
    if (this.places?.length !== 2 * count) this.places = new Float32Array(2 * count);
    for (let k = 0; k < count; k++) {
      this.places[2 * k] = width / 2 + (now.points[2 * k] - (left + right) / 2) * scale;
      this.places[2 * k + 1] = HEIGHT / 2 - (now.points[2 * k + 1] - (low + high) / 2) * scale;
    }
    this.paintOf(state, count);
    const radius = Math.min(Math.max(2.1 * Math.sqrt(1500 / Math.max(count, 1)), 1.7), 4);
    this.scatter.draw(this.places, this.colours, this.opacity, radius, background, (k) => this.opacity[k] < 100);
    this.drawOver(state, width, scale, count);
  }

  /** Colour and opacity of each point: anew only when a choice changed. */
  paintOf(state, count) {
    const { targets, classes } = this.known;
    const only = state.get("classes");
    const key = [count, targets.length, classes.length, only.join(), document.documentElement.dataset.theme].join(";");
    if (key === this.painted) return;
    this.painted = key;
    this.colours = new Uint8Array(3 * count);
    this.opacity = new Uint8Array(count);
    for (let k = 0; k < count; k++) {
      const away = only.length > 0 && !only.includes(targets[k]);
      this.colours.set(away ? [128, 128, 128] : classColour(targets[k] ?? -1, classes.length), 3 * k);
      this.opacity[k] = away ? 36 : 205;
    }
  }

  drawOver(state, width, scale, count) {
    const context = sharp(this.overlay, width, HEIGHT);
    const { known, now } = this;
    const font = token("font");
    const halo = (text, x, y, colour) => {
      context.strokeText(text, x, y);
      context.fillStyle = colour;
      context.fillText(text, x, y);
    };
    Object.assign(context, { strokeStyle: token("stage"), lineWidth: 3, lineJoin: "round", textAlign: "center", textBaseline: "middle" });
    if (!now?.bounds) {
      Object.assign(context, { font: `13px ${font}`, fillStyle: token("quiet") });
      if (now) context.fillText("No finite coordinates at this step", width / 2, HEIGHT / 2);
      return;
    }
    const followed = state.get("followed").filter((k) => k < count);
    for (const k of followed.slice(0, MOST_TRAILS)) {
      const colour = css(classColour(known.targets[k] ?? -1, known.classes.length));
      const way = [...trail(this.series, k, this.time), [now.points[2 * k], now.points[2 * k + 1]]];
      Object.assign(context, { strokeStyle: colour, lineWidth: 1.5, globalAlpha: 0.75 });
      context.beginPath();
      for (const point of way) context.lineTo(...this.toScreen(...point));
      context.stroke();
    }
    Object.assign(context, { globalAlpha: 1, strokeStyle: token("stage"), lineWidth: 3.5, font: `600 12px ${font}` });
    const only = state.get("classes");
    const named = known.classes.length <= MOST_NAMES ? known.classes : [];
    for (const [index, at] of now.medians.entries()) {
      if (!at || named[index] === undefined || (only.length && !only.includes(index))) continue;
      halo(named[index].slice(0, 24), ...this.toScreen(...at), token("text"));
    }
    for (const k of followed) this.ring(context, k, 6, token("text"), 2);
    if (this.hovered >= 0 && this.hovered < count) this.ring(context, this.hovered, 8, token("accent"), 2);
    this.drawScale(context, scale, width);
    if (this.lasso) {
      Object.assign(context, { strokeStyle: token("accent"), fillStyle: token("accent"), lineWidth: 1.5 });
      context.beginPath();
      for (const point of this.lasso) context.lineTo(...point);
      context.closePath();
      context.stroke();
      context.globalAlpha = 0.12;
      context.fill();
      context.globalAlpha = 1;
    }
  }

  ring(context, k, radius, colour, width) {
    Object.assign(context, { strokeStyle: colour, lineWidth: width });
    context.beginPath();
    context.arc(this.places[2 * k], this.places[2 * k + 1], radius, 0, 2 * Math.PI);
    context.stroke();
  }

  /** A bar of round length in the units of the layout, and what is drawn. */
  drawScale(context, scale, width) {
    const length = ticks(0, 90 / scale, 1.5).at(-1) || 90 / scale;
    const [x, y] = [14, HEIGHT - 14];
    Object.assign(context, { strokeStyle: token("quiet"), fillStyle: token("quiet"), lineWidth: 1.5, font: `11px ${token("font")}`, textAlign: "left" });
    context.beginPath();
    context.moveTo(x, y - 4);
    context.lineTo(x, y);
    context.lineTo(x + length * scale, y);
    context.lineTo(x + length * scale, y - 4);
    context.stroke();
    const name = METHODS[this.series.method] ?? this.series.method;
    context.fillText(`${number(length)} in ${name} units`, x + length * scale + 8, y - 2);
    context.textAlign = "right";
    context.fillText(`${whole(this.places.length / 2)} samples`, width - 12, y - 2);
  }

  nearest(event) {
    const { left, top } = this.overlay.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    let [best, far] = [-1, 100];
    for (let k = 0; k < this.places.length / 2; k++) {
      if (this.opacity[k] < 100) continue;
      const distance = (this.places[2 * k] - x) ** 2 + (this.places[2 * k + 1] - y) ** 2;
      if (distance < far) [best, far] = [k, distance];
    }
    return best;
  }

  press(event) {
    if (!this.now) return;
    this.overlay.setPointerCapture(event.pointerId);
    this.lasso = [[event.offsetX, event.offsetY]];
  }

  move(event) {
    if (!this.now) return;
    if (this.lasso) this.lasso.push([event.offsetX, event.offsetY]);
    this.hovered = this.lasso?.length > 3 ? -1 : this.nearest(event);
    if (this.hovered < 0) tooltip(null);
    else this.tell(event, this.hovered);
    this.view.changed();
  }

  tell(event, k) {
    const { classes, targets } = this.known;
    const [truth, predicted] = [targets[k] ?? -1, this.now.predicted[k] ?? -1];
    const row = (label, index) => h("div", {}, h("small", {}, label),
      h("i", { class: "dot", style: { background: css(classColour(index, classes.length)) } }), classes[index] ?? "unknown");
    const verdict = truth < 0 || predicted < 0 ? "" : truth === predicted ? " · right" : " · wrong";
    tooltip(event, thumbnail(this.known, k, 64), h("div", {}, h("b", {}, `Sample ${k}${verdict}`), row("true", truth), row("predicted", predicted)));
  }

  /** Ends a lasso, or follows the sample that was clicked. */
  release(event) {
    const way = this.lasso;
    this.lasso = null;
    if (!way || !this.now) return;
    const held = this.state.get("followed");
    const xs = way.map(([x]) => x);
    const ys = way.map(([, y]) => y);
    if (Math.max(...xs) - Math.min(...xs) + Math.max(...ys) - Math.min(...ys) > 12) {
      const inside = [];
      for (let k = 0; k < this.places.length / 2; k++) {
        if (this.opacity[k] >= 100 && within(way, this.places[2 * k], this.places[2 * k + 1])) inside.push(k);
      }
      this.state.set({ followed: event.shiftKey ? [...new Set([...held, ...inside])] : inside });
      return;
    }
    const k = this.nearest(event);
    if (k >= 0) this.state.set({ followed: held.includes(k) ? held.filter((other) => other !== k) : [...held, k] });
    this.view.changed();
  }

  leave() {
    this.hovered = -1;
    tooltip(null);
    this.view.changed();
  }
}

/** Whether a point lies within a closed way, by the crossings of a ray. */
export function within(way, x, y) {
  let inside = false;
  for (let k = 0, last = way.length - 1; k < way.length; last = k++) {
    const [[x0, y0], [x1, y1]] = [way[k], way[last]];
    if (y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0) inside = !inside;
  }
  return inside;
}
