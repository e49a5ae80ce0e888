// One run: which series it has, and their frames as far as they have been fetched.
import * as api from "./api.js";

const MOST_BYTES = 384 * 2 ** 20;
const BATCH = 25;
const held = new Map(); // frames of all runs, the longest unused first
let heldBytes = 0;

function hold(series, frame) {
	const key = `${series.id}@${frame.step}`;
	if (!held.delete(key)) heldBytes += frame.bytes;
	held.set(key, [series, frame]);
	for (const [old, [owner, kept]] of held) {
		if (heldBytes <= MOST_BYTES || kept === frame) break;
		heldBytes -= kept.bytes;
		held.delete(old);
		owner.frames.delete(kept.step);
	}
}

/** The last of rising `steps` that is not after `time`, or null. */
export function stepAt(steps, time) {
	let [low, high] = [0, steps.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		if (steps[middle] <= time) low = middle + 1;
		else high = middle;
	}
	return low ? steps[low - 1] : null;
}

export class RunData {
	/** `changed` is called when something new is here. */
	constructor(name, changed) {
		Object.assign(this, { name, changed, series: new Map(), digest: "", problems: [], failed: new Map() });
		Object.assign(this, { known: false, slices: new Map(), version: 0 });
	}

	/** Asks what is there, and for what is always needed: model, samples, curves, gradients. */
	async refresh() {
		const answer = await api.series(this.name, this.digest);
		this.known = true;
		if (answer.digest === this.digest) return;
		this.digest = answer.digest;
		this.problems = answer.problems;
		const before = this.series;
		this.series = new Map();
		for (const { timeline, ...entry } of answer.series) {
			const steps = answer.timelines[timeline];
			const old = before.get(entry.tag);
			const kept = old && old.written === entry.written && old.steps.every((step) => steps.includes(step));
			if (!kept) this.slices.clear();
			const own = kept ? old : { ...entry, id: `${this.name}\n${entry.tag}\n${entry.written}\n${Math.random()}` };
			this.series.set(entry.tag, Object.assign(own, { steps, frames: own.frames ?? new Map(), asked: own.asked ?? new Set() }));
		}
		this.version++;
		for (const kind of ["model", "samples", "curves", "gradients"]) this.all(kind);
		this.changed();
	}

	of(kind) {
		return [...this.series.values()].filter((series) => series.kind === kind);
	}

	find(kind, layer, rest = {}) {
		return this.of(kind).find(
			(series) => series.layer === layer && Object.entries(rest).every(([name, value]) => series[name] === value),
		);
	}

	/** Every step at which something is logged that changes in time. */
	get steps() {
		if (this.stepsOf !== this.version) {
			const lists = [...this.series.values()].filter((series) => !["model", "samples"].includes(series.kind));
			this.union = [...new Set(lists.flatMap((series) => series.steps))].sort((a, b) => a - b);
			this.stepsOf = this.version;
		}
		return this.union;
	}

	/** All frames of the only series of a kind that are here, asking for the others. */
	all(kind) {
		const [series] = this.of(kind);
		if (!series) return [];
		this.request(series, series.steps);
		return series.steps.map((step) => series.frames.get(step)).filter(Boolean);
	}

	/** The frame of a series at one of its steps if it is here; asks for it if it is not. */
	frame(series, step) {
		if (!series || step === null) return null;
		const frame = series.frames.get(step);
		if (!frame) this.request(series, [step]);
		else hold(series, frame);
		return frame ?? null;
	}

	request(series, steps) {
		const missing = steps.filter((step) => !series.frames.has(step) && !series.asked.has(step));
		for (let start = 0; start < missing.length; start += BATCH) this.fetch(series, missing.slice(start, start + BATCH));
	}

	async fetch(series, steps) {
		for (const step of steps) series.asked.add(step);
		try {
			const found = await api.frames(this.name, series.tag, steps);
			for (const frame of found) {
				series.frames.set(frame.step, frame);
				hold(series, frame);
				if (frame.error) this.failed.set(`${series.tag}@${frame.step}`, frame.error);
			}
			const rest = steps.slice(found.length);
			for (const step of found.length ? steps : []) series.asked.delete(step);
			if (found.length && rest.length) this.request(series, rest);
		} catch {
			for (const step of steps) setTimeout(() => series.asked.delete(step), 5000); // TensorBoard may come back
		}
		this.version++;
		this.changed();
	}

	/** One channel over several steps: an array of frames once it is here, else null. */
	slice(series, steps, place) {
		const key = `${series.id}@${steps.join()}@${place.join()}`;
		if (!this.slices.has(key)) {
			if (this.slices.size > 200) this.slices.clear();
			this.slices.set(key, null);
			api.frames(this.name, series.tag, steps, place).then(
				(found) => (this.slices.set(key, found), this.changed()),
				() => this.slices.delete(key),
			);
		}
		return this.slices.get(key);
	}
}
