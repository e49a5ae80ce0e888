// One channel over time, as a strip of pictures.
import { scaleOf, unquantised } from "./channels.js";
import { h, sharp, token } from "./dom.js";
import { whole } from "./format.js";
import { colour, limitOf, outline, paint } from "./tiles.js";

const SIDE = 46;
const GAP = 6;

export class History {
  constructor(view, state, clock) {
    Object.assign(this, { view, clock });
    this.title = h("h3");
    this.canvas = h("canvas", { onclick: (event) => this.click(event) });
    this.element = h("div", { class: "history" }, this.title, this.canvas);
  }

  draw({ kind, series }, index, channels, sample, apart) {
    const there = index >= 0 && index < channels.count;
    this.title.textContent = there ? `Channel ${channels.numbers[index] ?? index} over time` : "One channel over time";
    const width = this.element.clientWidth;
    const most = Math.max(2, Math.floor((width + GAP) / (SIDE + GAP)));
    const { steps } = series;
    const chosen = steps.length <= most ? steps
      : Array.from({ length: most }, (_, k) => steps[Math.round((k * (steps.length - 1)) / (most - 1))]);
    const frames = there ? this.view.run.slice(series, chosen, kind === "kernels" ? [index] : [sample, index]) : null;
    const now = chosen.reduce((best, step) => (step <= this.clock.step ? step : best), chosen[0]);
    const key = [there && series.id, index, sample, now, width, frames !== null, chosen.length, steps.at(-1), apart, document.documentElement.dataset.theme].join();
    if (key === this.drawn) return;
    this.drawn = key;
    this.chosen = chosen;
    const context = sharp(this.canvas, Math.max(width, 10), SIDE + 20);
    context.font = `10px ${token("font")}`;
    context.textAlign = "center";
    const { w, h: high, planes } = channels;
    const size = SIDE / Math.max(w, high, 1);
    const [wide, tall] = [w * size, Math.max(high * size, 8)];
    const good = (frames ?? []).filter((frame) => !frame.error && frame.arrays.values);
    const ends = ["low", "high"].map((name) => good.map((frame) => frame.arrays[name].data[0]));
    const limit = Math.max(0, ...good.map((frame) => (kind === "kernels" ? limitOf(frame.arrays.values.data) : 0)));
    const scale = kind === "kernels" ? { low: -limit || -1e-30, high: limit } : scaleOf(...ends, kind === "filter_response");
    chosen.forEach((step, place) => {
      const x = 2 + place * (SIDE + GAP);
      const frame = good.find((one) => one.step === step);
      if (frame) {
        const { values, low, high: top } = frame.arrays;
        const read = kind === "kernels" ? values.data : unquantised(values.data, low.data[0], top.data[0]);
        paint(context, colour(read, planes, scale), w, high, x, 2, wide, tall);
      }
      outline(context, x, 2, wide, tall, token(step === now ? "accent" : "rule"), step === now ? 2 : 1);
      context.fillStyle = token(step === now ? "text" : "quiet");
      if (chosen.length < 3 || place % (steps.at(-1) > 99999 ? 2 : 1) === 0) context.fillText(whole(step), x + SIDE / 2, SIDE + 15);
    });
  }

  click(event) {
    const place = Math.floor((event.clientX - this.canvas.getBoundingClientRect().left) / (SIDE + GAP));
    if (this.chosen?.[place] === undefined) return;
    this.view.seek(this.chosen[place]);
  }
}
