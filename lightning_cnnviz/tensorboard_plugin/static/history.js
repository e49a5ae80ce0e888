// One channel over time, as a strip of pictures.
import { scaleOf, symmetric, unquantised } from "./channels.js";
import { clamp, h, look, sharp, token } from "./dom.js";
import { whole } from "./format.js";
import { stepAt } from "./run.js";
import { colour, limitOf, outline, paint } from "./tiles.js";

const GAP = 6;

export class History {
	constructor(view, state, clock) {
		Object.assign(this, { view, clock, chosen: [] });
		this.title = h("h3");
		this.canvas = h("canvas", { onclick: (event) => {
			const step = this.chosen[Math.floor(event.offsetX / (this.side + GAP))];
			if (step !== undefined) view.seek(step);
		} });
		this.element = h("div", "history", this.title, this.canvas);
	}

	draw({ kind, series }, index, channels, sample) {
		const width = this.element.clientWidth;
		const { steps } = series;
		const side = clamp(Math.floor((width - 2) / steps.length) - GAP, 34, 46);
		const most = Math.max(2, Math.floor((width + GAP) / (side + GAP)));
		const chosen = steps.length <= most ? steps
			: Array.from({ length: most }, (_, k) => steps[Math.round((k * (steps.length - 1)) / (most - 1))]);
		const frames = index < channels.count ? this.view.run.slice(series, chosen, kind === "kernels" ? [index] : [sample, index]) : [];
		const now = stepAt(chosen, this.clock.step);
		const key = [series.id, index, sample, now, width, !frames, steps.at(-1), look.key].join();
		if (key === this.drawn) return;
		Object.assign(this, { drawn: key, chosen, side });
		this.title.textContent = `Channel ${channels.numbers[index] ?? index} over time`;
		const context = sharp(this.canvas, Math.max(width, 10), side + 20);
		Object.assign(context, { font: `10px ${token("font")}`, textAlign: "center" });
		const { w, h: high, planes } = channels;
		const size = side / Math.max(w, high, 1);
		const [wide, tall] = [w * size, Math.max(high * size, 8)];
		const good = (frames ?? []).filter((frame) => !frame.error && frame.arrays.values);
		const [lows, highs] = ["low", "high"].map((name) => good.map((frame) => frame.arrays[name].data[0]));
		const scale = kind === "kernels" ? symmetric(good.map((frame) => limitOf(frame.arrays.values.data)))
			: scaleOf(lows, highs, kind === "filter_response");
		chosen.forEach((step, place) => {
			const x = 2 + place * (side + GAP);
			const at = good.findIndex((frame) => frame.step === step);
			if (at >= 0) {
				const { data } = good[at].arrays.values;
				const values = kind === "kernels" ? data : unquantised(data, lows[at], highs[at]);
				paint(context, colour(values, planes, scale), w, high, x, 2, wide, tall);
			}
			outline(context, x, 2, wide, tall, token(step === now ? "accent" : "rule"), step === now ? 2 : 1);
			context.fillStyle = token(step === now ? "text" : "quiet");
			if (steps.at(-1) < 1e5 || place % 2 === 0) context.fillText(whole(step), x + side / 2, side + 15);
		});
	}
}
