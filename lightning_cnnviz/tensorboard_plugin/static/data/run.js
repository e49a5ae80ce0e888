// One run: which series it has, and their frames as far as they have been fetched.
import * as api from "./api.js";
import { keepFrame } from "./frame_cache.js";
import { mergeSteps } from "./steps.js";

const BATCH = 25; // frames of a request
const LOOKAHEAD = 8;

export class RunData {
	/** `onChange` is called when something new is here; `version` counts that. */
	constructor(name, onChange) {
		Object.assign(this, { name, onChange, series: new Map(), digest: "", problems: [], errors: new Map() });
		Object.assign(this, { listed: false, slices: new Map(), version: 0 });
	}

	/** Asks what is there, and for what is always needed: model, samples, curves, gradients. */
	async refresh() {
		const answer = await api.series(this.name, this.digest);
		this.listed = true;
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
			const id = `${this.name}\n${entry.tag}\n${entry.written}\n${Math.random()}`;
			const series = kept ? old : { ...entry, id, frames: new Map(), requested: new Set() };
			this.series.set(entry.tag, Object.assign(series, { steps }));
		}
		this.version++;
		for (const kind of ["model", "samples", "curves", "gradients"]) this.framesOf(kind);
		this.onChange();
	}

	seriesOf(kind) {
		return [...this.series.values()].filter((series) => series.kind === kind);
	}

	/** The series of a kind and layer (and method, if one is given). */
	findSeries(kind, layer, method) {
		return this.seriesOf(kind).find(
			(series) => series.layer === layer && (method === undefined || series.method === method),
		);
	}

	/** Every step at which something is logged that changes in time. */
	get steps() {
		if (this.mergedAt !== this.version) {
			const changing = [...this.series.values()].filter(({ kind }) => kind !== "model" && kind !== "samples");
			this.merged = mergeSteps(changing.map((series) => series.steps));
			this.mergedAt = this.version;
		}
		return this.merged;
	}

	/** All frames of the only series of a kind that are here, asking for the others. */
	framesOf(kind) {
		const [series] = this.seriesOf(kind);
		if (!series) return [];
		this.request(series, series.steps);
		return series.steps.map((step) => series.frames.get(step)).filter(Boolean);
	}

	/** The frame of a series at one of its steps if it is here; asks for it if it is not. */
	frame(series, step) {
		if (!series || step === null) return null;
		const frame = series.frames.get(step);
		if (!frame) this.request(series, [step]);
		else keepFrame(series, frame);
		return frame ?? null;
	}

	/** Asks for the frames of a series at some steps that are not here. */
	request(series, steps) {
		const missing = steps.filter((step) => !series.frames.has(step) && !series.requested.has(step));
		for (let start = 0; start < missing.length; start += BATCH) this.fetch(series, missing.slice(start, start + BATCH));
	}

	/** Asks for the frames after a step, which are needed next. */
	prefetch(series, step) {
		this.request(series, series.steps.filter((later) => later > step).slice(0, LOOKAHEAD));
	}

	async fetch(series, steps) {
		for (const step of steps) series.requested.add(step);
		try {
			const frames = await api.frames(this.name, series.tag, steps);
			for (const frame of frames) {
				series.frames.set(frame.step, frame);
				keepFrame(series, frame);
				if (frame.error) this.errors.set(`${series.tag}@${frame.step}`, frame.error);
			}
			if (frames.length) {
				for (const step of steps) series.requested.delete(step);
				this.request(series, steps.slice(frames.length));
			}
		} catch {
			for (const step of steps) setTimeout(() => series.requested.delete(step), 5000); // TensorBoard may come back
		}
		this.version++;
		this.onChange();
	}

	/** One channel over several steps: an array of frames once it is here, else null. `place` is its index in a frame. */
	slice(series, steps, place) {
		const key = `${series.id}@${steps.join()}@${place.join()}`;
		if (!this.slices.has(key)) {
			if (this.slices.size > 200) this.slices.clear();
			this.slices.set(key, null);
			const keep = (frames) => {
				this.slices.set(key, frames);
				this.onChange();
			};
			api.frames(this.name, series.tag, steps, place).then(keep, () => this.slices.delete(key));
		}
		return this.slices.get(key);
	}
}
