// The CNN Viz tab. TensorBoard imports this module in a frame of its own and calls `render`.
import * as api from "./api.js";
import { Clock } from "./clock.js";
import { chooser, h, options, refill, say } from "./dom.js";
import { emptyPage } from "./empty.js";
import { RunData } from "./run.js";
import { State } from "./state.js";
import { borrowFont, followTheme, visible } from "./theme.js";
import { Timeline } from "./timeline.js";
import { View } from "./view.js";

const POLL = 3000; // milliseconds between two looks for news

class App {
	constructor() {
		this.state = new State();
		this.clock = new Clock();
		const step = this.state.now.step;
		if (step !== undefined) Object.assign(this.clock, { following: false, target: step });
		this.known = new Map(); // runs that were opened
		this.views = [];
		this.draw = this.draw.bind(this);
		this.changed = this.changed.bind(this);
		this.run = chooser("Run", (run) => this.state.set({ run }));
		this.compare = chooser("Run to compare with", (run) => this.state.set({ compare: run || undefined }));
		this.trouble = h("p", { class: "trouble", role: "alert", hidden: true });
		this.timeline = new Timeline(this.clock, this.changed);
		this.main = h("main");
		this.empty = h("section", { class: "empty", hidden: true });
		this.top = h("div", "top",
			h("div", "bar", h("label", "", "Run", this.run), h("label", "", "Compare with", this.compare)), this.timeline.element);
		document.body.replaceChildren(this.top, this.trouble, this.main, this.empty);
		this.state.listeners.push((changes) => this.chosen(changes));
		document.addEventListener("keydown", (event) => this.key(event));
		followTheme(() => this.changed());
	}

	/** Asks for a new picture at the next frame; `settled` when the time was set for good. */
	changed(settled) {
		if (settled === true) this.state.set({ step: this.clock.following ? undefined : this.clock.target ?? undefined });
		this.pending ??= requestAnimationFrame(this.draw);
	}

	chosen(changes) {
		if ("run" in changes || "compare" in changes) {
			this.open();
			for (const { run } of this.views) run.refresh().then(() => this.settle(), () => {}); // the next look tells of trouble
		}
		if (changes.linked) {
			this.clock.following = changes.step === undefined;
			this.clock.seek(changes.step ?? Infinity);
		}
		if ("layer" in changes && this.views.some(({ run }) => run.find("projection", changes.layer))) this.state.now.plot = changes.layer;
		this.changed();
	}

	async look() {
		if (visible()) {
			try {
				this.found = await api.runs();
				this.open();
				await Promise.all(this.views.map(({ run }) => run.refresh()));
				say(this.trouble, "");
			} catch (error) {
				say(this.trouble, `TensorBoard does not answer (${error.message}). Trying again every ${POLL / 1000} seconds.`);
			}
			this.settle();
		}
		setTimeout(() => this.look(), POLL);
	}

	/** Opens the runs that are chosen, as far as they are there. */
	open() {
		const names = this.found.runs.map((run) => run.name);
		const { run, compare } = this.state.now;
		const first = names.includes(run) || this.known.has(run) ? run : names[0];
		const second = names.includes(compare) && compare !== first ? compare : undefined;
		const shown = [first, second].filter((name) => name !== undefined);
		const label = (name) => [name, name || "."];
		options(this.run, [...new Set([...names, ...shown])].map(label), first);
		options(this.compare, [["", "no other run"], ...names.filter((name) => name !== first).map(label)], second);
		if (JSON.stringify(shown) === this.shown) return;
		this.shown = JSON.stringify(shown);
		this.views = shown.map((name) => {
			if (!this.known.has(name)) this.known.set(name, new RunData(name, () => this.settle()));
			return new View(this.known.get(name), this.state, this.clock, this.changed, (step) => this.seek(step));
		});
		this.main.replaceChildren(...this.views.map((view) => view.element));
	}

	/** New data are here: the time axis may have grown. */
	settle() {
		const steps = [...new Set(this.views.flatMap(({ run }) => run.steps))].sort((a, b) => a - b);
		if (steps.join() !== this.clock.steps.join() && !this.clock.playing && !this.clock.dragging) this.clock.setSteps(steps);
		this.changed();
	}

	seek(step) {
		this.clock.following = false;
		this.clock.seek(step);
		this.changed(true);
	}

	draw(now) {
		this.pending = null;
		if (this.clock.tick(now)) this.changed();
		else if (this.wasPlaying && !this.clock.playing) this.state.set({ step: this.clock.target });
		this.wasPlaying = this.clock.playing;
		const nothing = this.found && !this.views.length;
		if (nothing) refill(this.empty, JSON.stringify(this.found), () => emptyPage(this.found.others));
		this.empty.hidden = !nothing;
		this.top.hidden = this.main.hidden = nothing;
		if (nothing || !this.views.length) return;
		this.timeline.draw(this.views);
		for (const view of this.views) view.draw(this.views.length > 1);
		if (this.views[0].pictured) this.first ??= performance.mark("cnnviz:first-picture");
	}

	key(event) {
		if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select, input")) return;
		const act = { ArrowLeft: () => this.timeline.go(-1), ArrowRight: () => this.timeline.go(1), Home: () => this.timeline.go(-Infinity),
			End: () => this.timeline.go(Infinity), " ": () => this.timeline.toggle() }[event.key];
		if (!act || (event.key === " " && event.target.closest("button"))) return;
		event.preventDefault();
		act();
	}
}

export async function render() {
	const sheet = h("link", { rel: "stylesheet", href: new URL("style.css", import.meta.url).href });
	const loaded = new Promise((resolve) => Object.assign(sheet, { onload: resolve, onerror: resolve }));
	document.head.append(sheet);
	borrowFont();
	await loaded;
	await new App().look();
}
