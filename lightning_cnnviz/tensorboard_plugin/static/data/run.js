// One run: which series it has, and their frames as far as they have been fetched.
import { SupersededError } from "./answer.js";
import * as api from "./api.js";
import { Series } from "./series.js";
import { mergeSteps } from "./steps.js";

const BATCH = 100; // frames of a request
const MAX_REQUESTS = 2; // of a series at a time; the next ones are asked for when these are here
const LOOKAHEAD = 12;
const RETRY = 5000; // milliseconds

function groupBy(list, name) {
	const groups = new Map();
	for (const item of list) {
		if (!groups.has(item[name])) groups.set(item[name], []);
		groups.get(item[name]).push(item);
	}
	return groups;
}

export class RunData {
	/** `onListing` is called when there is a new list of series or steps, `onChange` when frames have arrived. */
	constructor(name, onListing, onChange) {
		Object.assign(this, { name, onListing, onChange, listing: null, versions: {} });
		Object.assign(this, { series: new Map(), byKind: new Map(), byLayer: new Map() });
		this.steps = []; // every step at which something is logged that changes in time
	}

	/** Asks what is there, and for what is always needed: model, samples, curves, gradients, findings. */
	async refresh() {
		const known = this.listing;
		const answer = await api.series(this.name, known?.digest ?? "");
		if (answer.digest === known?.digest || this.listing !== known) return; // nothing is new, or another was faster
		this.listing = { ...known, ...answer }; // what is as before is not sent again
		const before = this.series;
		this.series = new Map();
		for (const { timeline, since, ...entry } of this.listing.series) {
			const series = before.get(entry.tag) ?? new Series(entry);
			if (series.update(this.listing.timelines[timeline], since)) this.hasChanged(series.kind);
			this.series.set(entry.tag, series);
		}
		for (const [tag, series] of before) if (!this.series.has(tag)) series.close();
		const all = [...this.series.values()];
		if (all.length !== before.size || all.some((series) => before.get(series.tag) !== series)) {
			this.byKind = groupBy(all, "kind");
			this.byLayer = new Map([...this.byKind].map(([kind, list]) => [kind, groupBy(list, "layer")]));
			this.hasChanged("series");
		}
		const changing = all.filter(({ kind }) => kind !== "model" && kind !== "samples");
		this.steps = mergeSteps([...new Set(changing.map(({ steps }) => steps))]);
		for (const kind of ["model", "samples", "curves", "gradients", "findings"]) this.framesOf(kind);
		this.onListing();
	}

	/** Forgets all frames. */
	close() {
		for (const series of this.series.values()) series.close();
	}

	/** A text that changes when what is known of some kinds changes; "series" is the list of all series. */
	versionOf(...kinds) {
		return kinds.map((kind) => this.versions[kind] ?? 0).join();
	}

	hasChanged(kind) {
		this.versions[kind] = (this.versions[kind] ?? 0) + 1;
	}

	/** What is wrong with the frames that are here. */
	get errors() {
		return [...this.series.values()].flatMap((series) => [...series.errors.values()]);
	}

	seriesOf(kind) {
		return this.byKind.get(kind) ?? [];
	}

	/** The series of a kind and layer (and method, if one is given). */
	findSeries(kind, layer, method) {
		const found = this.byLayer.get(kind)?.get(layer) ?? [];
		return method === undefined ? found[0] : found.find((series) => series.method === method);
	}

	/** All frames of the only series of a kind that are here, asking for the others. */
	framesOf(kind) {
		const [series] = this.seriesOf(kind);
		return series ? this.framesAt(series, series.steps) : [];
	}

	/** The frames of a series at some steps that are here, asking for the others. */
	framesAt(series, steps) {
		this.request(series, steps);
		const found = steps.map((step) => series.frames.get(step)).filter(Boolean);
		for (const frame of found) series.touch(frame);
		return found;
	}

	/** The frame of a series at one of its steps if it is here; asks for it if it is not. */
	frame(series, step) {
		return series && step !== null ? (this.framesAt(series, [step])[0] ?? null) : null;
	}

	/** Asks for the frames of a series at some steps that are not here, for so many of them as is sensible at a time. */
	request(series, steps) {
		const missing = steps.filter((step) => !series.frames.has(step) && !series.requested.has(step));
		for (let start = 0; start < missing.length; start += BATCH) {
			if (steps.length > 1 && series.loading >= MAX_REQUESTS) break;
			this.fetch(series, missing.slice(start, start + BATCH));
		}
	}

	/** Asks for the frames after a step, which are needed next. */
	prefetch(series, step) {
		const next = series.steps.indexOf(step) + 1;
		const soon = series.steps[Math.min(next + LOOKAHEAD / 2, series.steps.length - 1)];
		if (series.frames.has(soon) || series.requested.has(soon)) return;
		this.request(series, series.steps.slice(next, next + LOOKAHEAD));
	}

	async fetch(series, steps) {
		const { requested } = series;
		series.loading++;
		for (const step of steps) requested.add(step);
		const release = () => {
			for (const step of steps) requested.delete(step);
		};
		try {
			const frames = await api.frames(this.name, series.tag, steps, series.part);
			if (frames.length) release(); // else none of them is there any more
			for (const frame of frames) {
				if (series.requested === requested) series.add(frame);
			}
		} catch (error) {
			if (error instanceof SupersededError) release();
			else setTimeout(release, RETRY); // TensorBoard may come back
		}
		series.loading--;
		this.hasChanged(series.kind);
		this.onChange();
	}
}
