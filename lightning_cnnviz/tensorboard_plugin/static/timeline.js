// The time axis of everything: loss and accuracy behind one slider.
import { h, refill, sharp, token } from "./dom.js";
import { curves, epochAt } from "./facts.js";
import { number, ticks, whole } from "./format.js";
import { css, classColour } from "./palettes.js";

const HEIGHT = 116;
const MARGIN = { left: 56, right: 52, top: 10, bottom: 22 };
const LOSS = css(classColour(0, 10));
const ACCURACY = css(classColour(6, 10));

export class Timeline {
  constructor(clock, changed) {
    Object.assign(this, { clock, changed });
    this.canvas = h("canvas", { class: "curves" });
    this.head = h("div", { class: "head" });
    this.slider = h("div", {
      class: "slider", role: "slider", tabIndex: 0, "aria-label": "optimizer step",
      onpointerdown: (event) => this.grab(event), onpointermove: (event) => this.move(event),
      onpointerup: () => this.release(), onpointercancel: () => this.release(),
    }, this.canvas, this.head);
    this.play = h("button", { type: "button", class: "play", title: "Play (space)", onclick: () => this.toggle() });
    this.rate = h("select", { title: "Logged steps per second", "aria-label": "logged steps per second",
      onchange: () => { clock.rate = Number(this.rate.value); } },
      ...[1, 2, 4, 8, 16].map((rate) => h("option", { value: rate, selected: rate === clock.rate }, `${rate} / s`)));
    const button = (label, title, count) =>
      h("button", { type: "button", class: "icon", title, "aria-label": title, onclick: () => this.go(count) }, label);
    this.words = h("div", { class: "now" });
    this.legend = h("div", { class: "key" });
    this.follow = h("button", { type: "button", class: "follow", title: "Stay at the newest step while training runs",
      onclick: () => { clock.following = !clock.following; if (clock.following) clock.setSteps(clock.steps); changed(true); } },
      h("i"), "newest");
    this.element = h("section", { class: "timeline", "aria-label": "Timeline" },
      h("div", { class: "transport" },
        h("div", { class: "buttons" }, button("⏮", "First step (Home)", -Infinity), button("‹", "Previous step (←)", -1),
          this.play, button("›", "Next step (→)", 1), button("⏭", "Newest step (End)", Infinity)),
        this.words,
        h("div", { class: "pace" }, this.rate, this.follow)),
      h("div", { class: "plot" }, this.legend, this.slider));
  }

  go(count) {
    this.clock.move(count);
    this.clock.following = count === Infinity;
    this.changed(true);
  }

  toggle() {
    this.clock.following = false;
    this.clock.toggle();
    this.changed(true);
  }

  timeAt(event) {
    const { left, width } = this.slider.getBoundingClientRect();
    const share = (event.clientX - left - MARGIN.left) / (width - MARGIN.left - MARGIN.right);
    return this.low + (this.high - this.low) * Math.min(Math.max(share, 0), 1);
  }

  grab(event) {
    if (!this.clock.steps.length) return;
    this.slider.setPointerCapture(event.pointerId);
    this.clock.following = false;
    this.clock.drag(this.timeAt(event));
    this.changed();
  }

  move(event) {
    if (!this.clock.dragging) return;
    this.clock.drag(this.timeAt(event));
    this.changed();
  }

  release() {
    if (!this.clock.dragging) return;
    this.clock.dragging = false;
    this.clock.seek(this.clock.time);
    this.changed(true);
  }

  x(time) {
    const span = this.width - MARGIN.left - MARGIN.right;
    return MARGIN.left + (this.high > this.low ? ((time - this.low) / (this.high - this.low)) * span : span / 2);
  }

  draw(views) {
    const { clock } = this;
    this.width = this.slider.clientWidth;
    [this.low, this.high] = [clock.steps[0] ?? 0, clock.steps.at(-1) ?? 1];
    const runs = views.map((view) => view.run);
    const key = [this.width, this.low, this.high, clock.steps.length, document.documentElement.dataset.theme,
      devicePixelRatio, ...runs.map((run) => `${run.name}:${run.version}`)].join();
    if (key !== this.drawn) this.drawCurves(runs);
    this.drawn = key;
    this.head.style.transform = `translateX(${this.x(clock.time)}px)`;
    this.head.hidden = !clock.steps.length;
    this.play.textContent = clock.playing ? "❚❚" : "▶";
    this.play.setAttribute("aria-label", clock.playing ? "Pause" : "Play");
    this.follow.setAttribute("aria-pressed", String(clock.following));
    const epoch = runs.length ? epochAt(runs[0], clock.step) : null;
    this.words.replaceChildren(h("b", {}, clock.steps.length ? whole(clock.step) : "–"),
      ` step${epoch === null ? "" : ` · epoch ${Number(epoch.toFixed(1))}`}`);
    for (const [name, value] of [["valuemin", this.low], ["valuemax", this.high], ["valuenow", clock.step],
      ["valuetext", `step ${clock.step}`]]) this.slider.setAttribute(`aria-${name}`, String(value));
  }

  drawCurves(runs) {
    const context = sharp(this.canvas, this.width, HEIGHT);
    const [top, bottom] = [MARGIN.top, HEIGHT - MARGIN.bottom];
    const read = runs.map(curves);
    const some = (name) => read.flatMap((all) => [...(all[`${name}/train`] ?? []), ...(all[`${name}/val`] ?? [])])
      .map((point) => point[2]).filter((value) => value !== null);
    context.font = `11px ${token("font")}`;
    context.textBaseline = "middle";
    const axes = { loss: range(some("loss")), accuracy: some("accuracy").length ? [0, 1] : null };
    const y = (value, [low, high]) => bottom - ((value - low) / (high - low || 1)) * (bottom - top);
    for (const [name, colour] of [["loss", LOSS], ["accuracy", ACCURACY]]) {
      if (!axes[name]) continue;
      context.textAlign = name === "loss" ? "right" : "left";
      for (const value of ticks(...axes[name], 3)) {
        const at = y(value, axes[name]);
        if (name === "loss") line(context, [[MARGIN.left, at], [this.width - MARGIN.right, at]], token("grid"));
        context.fillStyle = token("quiet");
        context.fillText(name === "loss" ? number(value) : `${Math.round(100 * value)} %`,
          name === "loss" ? MARGIN.left - 8 : this.width - MARGIN.right + 8, at);
      }
      read.forEach((all, index) => {
        for (const part of ["train", "val"]) {
          const points = (all[`${name}/${part}`] ?? []).map(([, step, value]) =>
            [this.x(step), value === null ? NaN : y(value, axes[name])]);
          context.setLineDash(index ? [5, 4] : []);
          line(context, points, colour, part === "val" ? 2 : 1.2, part === "val" ? 1 : 0.55);
          context.setLineDash([]);
        }
      });
    }
    line(context, [[MARGIN.left, bottom], [this.width - MARGIN.right, bottom]], token("rule"));
    if (this.clock.steps.length * 3 < this.width) {
      for (const step of this.clock.steps) line(context, [[this.x(step), bottom], [this.x(step), bottom + 4]], token("rule"));
    }
    context.fillStyle = token("quiet");
    context.textAlign = "center";
    for (const step of ticks(this.low, this.high, Math.max(2, this.width / 140)).filter(Number.isInteger)) {
      context.fillText(whole(step), this.x(step), bottom + 14);
    }
    context.textAlign = "left";
    context.fillText("step", 6, bottom + 14);
    const shown = Object.keys(axes).filter((name) => axes[name]);
    refill(this.legend, JSON.stringify([shown, runs.map((run) => run.name)]), () => [
      ...shown.flatMap((name) => ["train", "val"].map((part) =>
        h("span", {}, h("i", { class: `stroke ${part}`, style: { borderColor: name === "loss" ? LOSS : ACCURACY } }),
          `${name} ${part === "val" ? "validation" : "training"}`))),
      runs.length > 1 ? h("span", {}, h("i", { class: "stroke val", style: { borderColor: token("quiet") } }), runs[0].name) : null,
      runs.length > 1 ? h("span", {}, h("i", { class: "stroke val dashed", style: { borderColor: token("quiet") } }), runs[1].name) : null,
      shown.length ? null : h("span", {}, "No curves in this run: add LossAccuracy()"),
    ]);
  }
}

function range(values) {
  if (!values.length) return null;
  const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  return [Math.min(0, low), high > low || high > 0 ? Math.max(high, 1e-9) : 1];
}

function line(context, points, colour, width = 1, alpha = 1) {
  Object.assign(context, { strokeStyle: colour, fillStyle: colour, lineWidth: width, lineJoin: "round", globalAlpha: alpha });
  context.beginPath();
  let down = false;
  for (const [x, y] of points) {
    if (Number.isNaN(y)) down = false;
    else if (down) context.lineTo(x, y);
    else context.moveTo(x, y);
    down = !Number.isNaN(y);
  }
  context.stroke();
  if (points.length === 1 && down) context.fillRect(points[0][0] - 2, points[0][1] - 2, 4, 4);
  context.globalAlpha = 1;
}
