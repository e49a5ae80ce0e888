// The frames of one series, as far as they are here; or parts of them, e.g. of one channel.
import { dropFrame, keepFrame } from "./frame_cache.js";

const WHOLE = ["model", "samples", "curves", "gradients", "findings"]; // shown in full, so that none of their frames is given up
const MAX_PARTS = 100;
const WEIGHTS = ["values", "low", "high"];
const MAPS = [...WEIGHTS, "mean"];
const ARRAYS = {
	kernels: WEIGHTS,
	kernel_channels: WEIGHTS,
	normalization: WEIGHTS,
	feature_maps: MAPS,
	gradient_maps: [...MAPS, "gradients", "gradient_low", "gradient_high", "targets", "thumbnails"],
	filter_response: MAPS,
	projection: ["points"],
	gradients: ["values"],
	activations: ["counts"],
	partition: ["png"],
	saliency: ["values", "largest"],
	sample_history: ["values", "predicted", "targets"],
	patches: ["png"],
};
let count = 0;

export class Series {
	/** `entry` is from the list of series; `part` says what to take of each frame: `place`, an index, some `rows` or `arrays`. */
	constructor(entry, part = {}) {
		Object.assign(this, entry, { id: ++count, part, steps: [], since: [] });
		Object.assign(this, { frames: new Map(), errors: new Map(), parts: new Map(), requested: new Set(), loading: 0 });
	}

	/** Takes a newer list of steps and forgets the frames that are of another training; returns whether anything is new. */
	update(steps, since) {
		const at = [...since, ...this.since].findIndex((_, k) => String(since[k]) !== String(this.since[k]));
		const from = at < 0 ? Infinity : Math.min(...[since[at], this.since[at]].filter(Boolean).map(([step]) => step));
		const same = at < 0 && steps.length === this.steps.length;
		for (const series of [this, ...this.parts.values()]) {
			Object.assign(series, { steps, since });
			if (at < 0) continue;
			series.requested = new Set(); // whoever waits for frames of before sees it by this
			for (const frame of [...series.frames.values()]) if (frame.step >= from) series.drop(frame);
		}
		return !same;
	}

	/** Keeps a frame that has arrived. */
	add(frame) {
		const needed = this.part.arrays ? [] : (ARRAYS[this.kind] ?? []); // older records lack what was added later
		const missing = needed.filter((name) => !frame.error && !frame.arrays[name]);
		if (missing.length) {
			const error = `${this.tag} at step ${frame.step} is damaged: it has no ${missing.join(", ")}`;
			Object.assign(frame, { error, info: undefined, arrays: undefined });
		}
		for (const [name, list] of Object.entries(frame.info ?? {})) {
			const former = this.newest?.info?.[name];
			if (isSameList(list, former)) frame.info[name] = former; // once in memory
		}
		this.newest = frame;
		if (frame.error) this.errors.set(frame.step, frame.error);
		this.frames.set(frame.step, frame);
		this.touch(frame);
	}

	/** Notes that a frame is in use. */
	touch(frame) {
		if (!WHOLE.includes(this.kind)) keepFrame(this, frame);
	}

	drop(frame) {
		this.frames.delete(frame.step);
		this.errors.delete(frame.step);
		dropFrame(frame);
	}

	/** Forgets all frames, those that are under way too. */
	close() {
		this.requested = new Set();
		for (const frame of [...this.frames.values()]) this.drop(frame);
		for (const part of this.parts.values()) part.close();
		this.parts.clear();
	}

	/** The series of a part of each frame; a part of a part is one of the whole. */
	partOf(part) {
		if (this.whole) {
			const place = [...(this.part.place ?? []), ...(part.place ?? [])];
			return this.whole.partOf({ ...this.part, ...part, place });
		}
		const key = JSON.stringify(part);
		const { kind, tag, layer, steps, since } = this;
		const found = this.parts.get(key) ?? Object.assign(new Series({ kind, tag, layer }, part), { steps, since });
		found.whole = this;
		this.parts.delete(key); // the one that was used last is the last
		this.parts.set(key, found);
		if (this.parts.size > MAX_PARTS) {
			const [[oldest, other]] = this.parts;
			other.close();
			this.parts.delete(oldest);
		}
		return found;
	}
}

export const isSameList = (list, other) =>
	Array.isArray(list) && list.length === other?.length && list.every((item, k) => item === other[k]);
