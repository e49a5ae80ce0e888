// The one time axis: where we are, in optimizer steps.
import { clamp } from "../draw/scales.js";
import { stepAt } from "./steps.js";

const TRANSITION = 280; // milliseconds from one step to another

export class Clock {
	constructor() {
		Object.assign(this, { steps: [], time: 0, target: null, playing: false, dragging: false, rate: 4 });
		Object.assign(this, { following: true, began: null, share: 1 });
		this.reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");
	}

	/** Takes the union of the logged steps; stays at the newest while following. */
	setSteps(steps) {
		const first = !this.steps.length;
		this.steps = steps;
		if (!steps.length) return;
		if (this.following) this.seek(steps.at(-1), { animate: !first });
		else if (first) this.seek(this.target ?? steps.at(-1), { animate: false });
	}

	/** The step whose pictures are shown. */
	get step() {
		if (!this.playing && !this.dragging && this.target !== null) return this.target;
		return stepAt(this.steps, this.time + 1e-6) ?? this.steps[0] ?? 0;
	}

	/** The last of the steps of a series that is not after the one that is shown, or null. */
	stepIn(steps) {
		return stepAt(steps, this.step);
	}

	/**
	 * Where a series with frames at some steps is: at the last one that is not after the step that is shown, and between
	 * two of them only on the way. Null before the first.
	 */
	timeIn(steps) {
		const still = this.stepIn(steps);
		if (still === null || !this.isMoving || this.reducedMotion.matches) return still;
		if (this.playing || this.dragging) return this.time;
		const from = this.leftMoving ? this.from : (stepAt(steps, this.from) ?? still);
		return from + (still - from) * this.share;
	}

	get isMoving() {
		return this.playing || this.dragging || this.began !== null;
	}

	nearestStep(time) {
		const { steps } = this;
		if (!steps.length) return time;
		const below = stepAt(steps, time) ?? steps[0];
		const above = steps[Math.min(steps.indexOf(below) + 1, steps.length - 1)];
		return above - time < time - below ? above : below;
	}

	/** Goes to the logged step nearest to a time. */
	seek(time, { animate = true } = {}) {
		this.leftMoving = this.isMoving;
		Object.assign(this, { playing: false, dragging: false });
		this.target = this.nearestStep(time);
		this.from = this.time;
		this.began = animate && !this.reducedMotion.matches ? performance.now() : null;
		this.share = 0;
		if (this.began === null) this.time = this.target;
	}

	/** Goes `count` logged steps on, or back. */
	move(count) {
		const index = this.steps.indexOf(this.nearestStep(this.step));
		const to = clamp(index + count, 0, this.steps.length - 1);
		if (to >= 0) this.seek(this.steps[to]);
	}

	/** While the handle is dragged: any time, between steps too. */
	drag(time) {
		Object.assign(this, { playing: false, dragging: true, began: null, time, target: this.nearestStep(time) });
	}

	togglePlaying() {
		if (this.playing) return this.seek(this.time);
		if (this.steps.length < 2) return undefined;
		if (this.time >= this.steps.at(-1)) this.time = this.steps[0];
		return Object.assign(this, { playing: true, began: null, last: null });
	}

	/** Moves on; returns whether there is more to come. */
	tick(now) {
		if (this.playing) {
			const passed = this.last ? Math.min(now - this.last, 100) / 1000 : 0;
			this.last = now;
			const index = this.indexOf(this.time) + passed * this.rate;
			if (index >= this.steps.length - 1) this.seek(this.steps.at(-1), { animate: false });
			else {
				const low = Math.floor(index);
				this.time = this.steps[low] + (this.steps[low + 1] - this.steps[low]) * (index - low);
			}
			return this.playing;
		}
		if (this.began === null) return false;
		const passed = clamp((now - this.began) / TRANSITION, 0, 1); // a picture may have begun before the transition
		this.share = 1 - (1 - passed) ** 3;
		this.time = this.from + (this.target - this.from) * this.share;
		if (passed === 1) this.began = null;
		return passed < 1;
	}

	/** A time as a fractional index into the logged steps. */
	indexOf(time) {
		const below = stepAt(this.steps, time);
		if (below === null) return 0;
		const low = this.steps.indexOf(below);
		if (low === this.steps.length - 1) return low;
		return low + (time - below) / (this.steps[low + 1] - below);
	}
}
