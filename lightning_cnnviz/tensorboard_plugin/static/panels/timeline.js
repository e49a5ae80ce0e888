// The time axis of everything: one slider, with the curves behind it, and the buttons that play.
import { epochAt } from "../data/selectors.js";
import { dropdown, h, iconButton, setAttribute, updateChildren } from "../draw/dom.js";
import { formatInteger } from "../draw/format.js";
import { clamp } from "../draw/scales.js";
import { appearance } from "../draw/theme.js";
import { widthOf } from "../draw/width.js";
import { Curves, LEFT, RIGHT } from "./curves.js";
import { FindingMarks } from "./finding_marks.js";

const RATES = [1, 2, 4, 8, 16];

export class Timeline {
	/**
	 * `requestDraw` asks for a new picture while the time moves, `commitTime` when it was set for good; `openFinding` is
	 * given a run and a finding of it.
	 */
	constructor(clock, requestDraw, commitTime, openFinding) {
		Object.assign(this, { clock, requestDraw, commitTime });
		this.marks = new FindingMarks(openFinding);
		this.curves = new Curves();
		this.playhead = h("div", "playhead");
		this.slider = h(
			"div",
			{
				class: "slider",
				role: "slider",
				tabIndex: 0,
				"aria-label": "optimizer step",
				onpointerdown: this.press,
				onpointermove: (event) => this.drag(event, clock.dragging),
				onpointerup: this.release,
				onpointercancel: this.release,
			},
			this.curves.canvas,
			this.playhead,
		);
		this.play = h("button", { class: "play", title: "Play (space)", onclick: () => this.togglePlaying() });
		this.rate = dropdown("Logged steps per second", (rate) => {
			clock.rate = Number(rate);
			commitTime();
		});
		this.rate.append(...RATES.map((rate) => h("option", { value: rate }, `${rate} / s`)));
		const button = (icon, title, count) => iconButton(icon, title, () => this.move(count));
		this.position = h("div", "now");
		this.follow = h(
			"button",
			{
				class: "follow",
				title: "Stay at the newest step while training runs",
				onclick: () => {
					clock.following = !clock.following;
					clock.setSteps(clock.steps);
					commitTime();
				},
			},
			h("i"),
			"follow newest",
		);
		const buttons = h(
			"div",
			"buttons",
			button("«", "First step (Home)", -Infinity),
			button("‹", "Previous step (←)", -1),
			this.play,
			button("›", "Next step (→)", 1),
			button("»", "Newest step (End)", Infinity),
		);
		this.element = h(
			"section",
			"timeline",
			h("div", "transport", buttons, this.position, h("div", "buttons", this.rate, this.follow)),
			h("div", "plot", this.marks.element, this.slider),
		);
	}

	/** Goes `count` logged steps on, or back. */
	move(count) {
		this.clock.move(count);
		this.clock.following = count === Infinity;
		this.commitTime();
	}

	togglePlaying() {
		this.clock.following = false;
		this.clock.togglePlaying();
		this.commitTime();
	}

	press = (event) => {
		this.slider.setPointerCapture(event.pointerId);
		this.clock.following = false;
		this.drag(event, this.clock.steps.length);
	};

	drag(event, active) {
		if (!active) return;
		const share = (event.clientX - this.slider.getBoundingClientRect().left - LEFT) / (this.width - LEFT - RIGHT);
		this.clock.drag(this.low + (this.high - this.low) * clamp(share, 0, 1));
		this.requestDraw();
	}

	release = () => {
		if (!this.clock.dragging) return;
		this.clock.seek(this.clock.time);
		this.commitTime();
	};

	x = (time) => {
		const share = this.high > this.low ? (time - this.low) / (this.high - this.low) : 0.5;
		return LEFT + share * (this.width - LEFT - RIGHT);
	};

	draw(runs) {
		const { clock } = this;
		const { steps, step, playing, following } = clock;
		this.width = widthOf(this.slider, this.requestDraw);
		[this.low, this.high] = [steps[0] ?? 0, steps.at(-1) ?? 1];
		const versions = runs.map((run) => run.name + run.versionOf("series", "curves"));
		const key = [this.width, this.low, this.high, steps.length, appearance.key, ...versions].join();
		if (key !== this.drawn) this.curves.draw(runs, this, steps);
		this.drawn = key;
		this.marks.draw(runs, this);
		this.playhead.style.transform = `translateX(${this.x(clock.reducedMotion.matches ? step : clock.time)}px)`;
		this.rate.value = clock.rate;
		updateChildren(this.play, String(playing), () => (playing ? "❚❚" : "▶"));
		setAttribute(this.play, "aria-label", playing ? "Pause" : "Play");
		setAttribute(this.follow, "aria-pressed", following);
		const epoch = epochAt(runs[0], step);
		const words = epoch === null ? "" : ` · epoch ${Number(epoch.toFixed(1))}`;
		updateChildren(this.position, `${step}${words}`, () => [h("b", "", formatInteger(step)), ` step${words}`]);
		const aria = { valuemin: this.low, valuemax: this.high, valuenow: step, valuetext: `step ${step}` };
		for (const [name, value] of Object.entries(aria)) setAttribute(this.slider, `aria-${name}`, value);
	}
}
