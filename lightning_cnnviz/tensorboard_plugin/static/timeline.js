// The time axis of everything: loss and accuracy behind one slider.
import { chooser, clamp, h, icon, line, look, refill, sharp, token } from "./dom.js";
import { curves, epochAt } from "./facts.js";
import { extent, number, ticks, whole } from "./format.js";
import { css, classColour } from "./palettes.js";

const [LEFT, RIGHT, TOP, BOTTOM, HEIGHT] = [56, 52, 10, 94, 116];
const COLOURS = { loss: 0, accuracy: 6 };
const WORDS = { train: "training", val: "validation" };

export class Timeline {
	constructor(clock, changed) {
		Object.assign(this, { clock, changed });
		this.canvas = h("canvas");
		this.head = h("div", "head");
		this.slider = h("div", { class: "slider", role: "slider", tabIndex: 0, "aria-label": "optimizer step",
			onpointerdown: this.grab, onpointermove: (event) => this.drag(event, clock.dragging),
			onpointerup: () => this.release(), onpointercancel: () => this.release() }, this.canvas, this.head);
		this.play = h("button", { class: "play", title: "Play (space)", onclick: () => this.toggle() });
		this.rate = chooser("Logged steps per second", (rate) => { clock.rate = Number(rate); });
		this.rate.append(...[1, 2, 4, 8, 16].map((rate) => h("option", { value: rate, selected: rate === clock.rate }, `${rate} / s`)));
		const button = (sign, title, count) => icon(sign, title, () => this.go(count));
		this.words = h("div", "now");
		this.legend = h("div", "key");
		this.follow = h("button", { class: "follow", title: "Stay at the newest step while training runs", onclick: () => {
			clock.following = !clock.following;
			clock.setSteps(clock.steps);
			changed(true);
		} }, h("i"), "follow newest");
		this.element = h("section", "timeline",
			h("div", "transport",
				h("div", "buttons", button("«", "First step (Home)", -Infinity), button("‹", "Previous step (←)", -1),
					this.play, button("›", "Next step (→)", 1), button("»", "Newest step (End)", Infinity)),
				this.words, h("div", "buttons", this.rate, this.follow)),
			h("div", "plot", this.legend, this.slider));
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

	grab = (event) => {
		this.slider.setPointerCapture(event.pointerId);
		this.clock.following = false;
		this.drag(event, this.clock.steps.length);
	};

	drag(event, active) {
		if (!active) return;
		const share = (event.clientX - this.slider.getBoundingClientRect().left - LEFT) / (this.width - LEFT - RIGHT);
		this.clock.drag(this.low + (this.high - this.low) * clamp(share, 0, 1));
		this.changed();
	}

	release() {
		if (!this.clock.dragging) return;
		this.clock.dragging = false;
		this.clock.seek(this.clock.time);
		this.changed(true);
	}

	x(time) {
		const share = this.high > this.low ? (time - this.low) / (this.high - this.low) : 0.5;
		return LEFT + share * (this.width - LEFT - RIGHT);
	}

	draw(views) {
		const { clock } = this;
		const runs = views.map((view) => view.run);
		this.width = this.slider.clientWidth;
		[this.low, this.high] = [clock.steps[0] ?? 0, clock.steps.at(-1) ?? 1];
		const key = [this.width, this.low, this.high, clock.steps.length, look.key, ...runs.map((run) => run.name + run.version)].join();
		if (key !== this.drawn) this.drawCurves(runs);
		this.drawn = key;
		this.head.style.transform = `translateX(${this.x(clock.time)}px)`;
		this.play.textContent = clock.playing ? "❚❚" : "▶";
		this.play.setAttribute("aria-label", clock.playing ? "Pause" : "Play");
		this.follow.setAttribute("aria-pressed", clock.following);
		const epoch = epochAt(runs[0], clock.step);
		this.words.replaceChildren(h("b", "", whole(clock.step)), ` step${epoch === null ? "" : ` · epoch ${Number(epoch.toFixed(1))}`}`);
		for (const [name, value] of Object.entries({ min: this.low, max: this.high, now: clock.step, text: `step ${clock.step}` })) {
			this.slider.setAttribute(`aria-value${name}`, value);
		}
	}

	drawCurves(runs) {
		const context = sharp(this.canvas, this.width, HEIGHT);
		const read = runs.map(curves);
		const values = (name) => read.flatMap((all) => Object.keys(WORDS).flatMap((part) => all[`${name}/${part}`] ?? []))
			.map((point) => point[2]).filter(Number.isFinite);
		const end = this.width - RIGHT;
		Object.assign(context, { font: `11px ${token("font")}`, textBaseline: "middle" });
		const [low, high] = extent(values("loss"));
		const axes = { loss: high >= low ? [Math.min(0, low), Math.max(1e-9, high)] : null, accuracy: values("accuracy").length ? [0, 1] : null };
		const shown = Object.keys(axes).filter((name) => axes[name]);
		const write = (text, x, y, textAlign) => {
			Object.assign(context, { textAlign, fillStyle: token("quiet") });
			context.fillText(text, x, y);
		};
		for (const name of shown) {
			const [low, high] = axes[name];
			const y = (value) => BOTTOM - ((value - low) / (high - low || 1)) * (BOTTOM - TOP);
			for (const value of ticks(low, high, name === "loss" ? 4 : 2)) {
				if (name === "accuracy") write(`${Math.round(100 * value)} %`, end + 13, y(value), "left");
				else {
					line(context, [[LEFT, y(value)], [end, y(value)]], token("grid"));
					write(number(value), LEFT - 8, y(value), "right");
				}
			}
			for (const [index, all] of read.entries()) {
				context.setLineDash(index ? [5, 4] : []);
				for (const part of Object.keys(WORDS)) {
					const points = (all[`${name}/${part}`] ?? []).map(([, step, value]) => [this.x(step), value === null ? NaN : y(value)]);
					line(context, points, css(classColour(COLOURS[name], 10)), part === "val" ? 2 : 1.2, part === "val" ? 1 : 0.6);
				}
				context.setLineDash([]);
			}
		}
		line(context, [[LEFT, BOTTOM], [end, BOTTOM]], token("rule"));
		for (const step of this.clock.steps.length * 3 < this.width ? this.clock.steps : []) {
			line(context, [[this.x(step), BOTTOM], [this.x(step), BOTTOM + 4]], token("rule"));
		}
		for (const step of ticks(this.low, this.high, Math.max(2, this.width / 140)).filter(Number.isInteger)) {
			write(whole(step), this.x(step), BOTTOM + 14, "center");
		}
		write("step", 6, BOTTOM + 14, "left");
		const stroke = (style, colour, words) => h("span", "", h("i", { class: `stroke ${style}`, style: { borderColor: colour } }), words);
		refill(this.legend, JSON.stringify([shown, runs.map((run) => [run.name, run.of("curves").length]), look.key]), () => [
			...shown.flatMap((name) => Object.entries(WORDS).map(([part, words]) => stroke(part, css(classColour(COLOURS[name], 10)), `${name} ${words}`))),
			...(runs.length > 1 ? runs.map((run, index) => stroke(index ? "dashed" : "", token("quiet"), run.name)) : []),
			shown.length ? null : runs.some((run) => run.of("curves").length) ? "no finite loss or accuracy" : "no curves: add LossAccuracy()",
		]);
	}
}
