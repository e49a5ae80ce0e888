// The CNN Viz tab. TensorBoard imports this module in a frame of its own and calls `render`.
import * as api from "./data/api.js";
import { Clock } from "./data/clock.js";
import { RunData } from "./data/run.js";
import { projectionOf } from "./data/selectors.js";
import { State } from "./data/state.js";
import { mergeSteps } from "./data/steps.js";
import { loadColours } from "./draw/colours.js";
import { dropdown, h, iconButton, setOptions, showMessage, updateChildren } from "./draw/dom.js";
import { borrowFont, host, isVisible, listenOutside, takeFocus } from "./draw/host.js";
import { followTheme } from "./draw/theme.js";
import { emptyPage } from "./panels/empty_page.js";
import { Help } from "./panels/help.js";
import { RunView } from "./panels/run_view.js";
import { Timeline } from "./panels/timeline.js";
import { Tour } from "./panels/tour.js";

const POLL_INTERVAL = 3000; // milliseconds
const MAX_OPENED = 4; // runs of which the frames are kept

export class App {
	constructor() {
		this.state = new State();
		this.clock = new Clock();
		const { step, rate } = this.state.values;
		this.clock.rate = rate ?? this.clock.rate;
		if (step !== undefined) Object.assign(this.clock, { following: false, target: step });
		this.opened = new Map(); // RunData by name
		this.views = [];
		this.run = dropdown("Run", (run) => this.state.set({ run }));
		this.compare = dropdown("Run to compare with", (run) => this.state.set({ compare: run || undefined }));
		this.scale = dropdown("One scale for", (scale) => this.state.set({ scale: scale || undefined }));
		this.error = h("p", { class: "error", role: "alert", hidden: true });
		this.timeline = new Timeline(this.clock, this.requestDraw, this.commitTime, this.openFinding);
		this.main = h("main");
		this.empty = h("main", { class: "empty", hidden: true });
		this.top = h(
			"header",
			"top",
			h(
				"div",
				"bar",
				h("label", "", "Run", this.run),
				h("label", "", "Compare with", this.compare),
				h("label", "", "One scale for", this.scale),
				this.timeline.curves.legend,
				iconButton("?", "Keys and tour (?)", () => this.help.toggle()),
			),
			this.timeline.element,
		);
		this.tour = new Tour();
		this.help = new Help(() => this.tour.begin());
		const parts = [this.top, this.error, this.main, this.empty, this.tour.element, this.help.element];
		document.body.replaceChildren(...parts);
		this.state.listeners.push((changes) => this.onStateChange(changes));
		document.addEventListener("keydown", (event) => this.onKey(event));
		listenOutside((event) => this.onKey(event));
		host.addEventListener("hashchange", () => setTimeout(takeFocus, 300)); // TensorBoard has shown the tab by then
		followTheme(this.requestDraw);
	}

	/** Asks for a new picture at the next frame. */
	requestDraw = () => {
		this.pending ??= requestAnimationFrame(this.draw);
	};

	/** Keeps the time that was set in the address. */
	commitTime = () => {
		const { following, target, rate } = this.clock;
		this.state.set({ step: following ? undefined : (target ?? undefined), rate });
		this.requestDraw();
	};

	onStateChange(changes) {
		if ("run" in changes || "compare" in changes) {
			this.openRuns();
			for (const { run } of this.views) run.refresh().then(this.updateSteps, () => {}); // the next poll tells of an error
		}
		if (changes.linked) {
			this.clock.rate = this.state.values.rate ?? this.clock.rate;
			this.clock.following = changes.step === undefined;
			this.clock.seek(changes.step ?? Infinity);
		}
		if ("layer" in changes) {
			const projected = this.views.map(({ run }) => projectionOf(run, changes.layer)).find(Boolean);
			this.state.values.plot = projected?.layer ?? this.state.values.plot;
		}
		this.requestDraw();
	}

	async poll() {
		if (isVisible()) {
			try {
				this.listed = await api.runs();
				this.openRuns();
				await Promise.all(this.views.map(({ run }) => run.refresh()));
				showMessage(this.error, "");
			} catch (error) {
				showMessage(
					this.error,
					`TensorBoard does not answer (${error.message}). Trying again every ${POLL_INTERVAL / 1000} seconds.`,
				);
			}
			this.updateSteps();
		}
		if (api.isLive) setTimeout(() => this.poll(), POLL_INTERVAL);
	}

	/** Opens the runs that are chosen, as far as they are there. */
	openRuns() {
		const names = this.listed.runs.map((run) => run.name);
		const { run, compare } = this.state.values;
		const first = names.includes(run) || this.opened.has(run) ? run : names[0];
		const second = names.includes(compare) && compare !== first ? compare : undefined;
		const shown = [first, second].filter((name) => name !== undefined);
		const others = names.filter((name) => name !== first);
		setOptions(this.run, [...new Set([...names, ...shown])], first, (name) => name || ".");
		setOptions(this.compare, ["", ...others], second, (name, k) => (k ? name || "." : "no other run"));
		const key = JSON.stringify(shown);
		if (key === this.shown) return;
		this.shown = key;
		this.views = shown.map((name) => {
			const run = this.opened.get(name) ?? new RunData(name, this.updateSteps, this.requestDraw);
			this.opened.delete(name);
			this.opened.set(name, run); // the last one that was looked at
			return new RunView(run, this.state, this.clock, this.requestDraw, this.seek);
		});
		for (const view of this.views) view.runs = this.views.map(({ run: data }) => data);
		for (const [name, run] of this.opened) {
			if (this.opened.size <= MAX_OPENED) break;
			this.opened.delete(name);
			run.close();
		}
		this.main.replaceChildren(...this.views.map((view) => view.element));
	}

	/** There is a new list of steps: the time axis may have grown. */
	updateSteps = () => {
		const steps = mergeSteps(this.views.map(({ run }) => run.steps));
		if (steps.join() !== this.clock.steps.join() && !this.clock.playing && !this.clock.dragging)
			this.clock.setSteps(steps);
		this.requestDraw();
	};

	seek = (step) => {
		this.clock.following = false;
		this.clock.seek(step);
		this.commitTime();
	};

	/** Goes to the first step at which a finding of a run is seen, and opens the layer that it names. */
	openFinding = (run, { first_step, layers }) => {
		this.views.find((view) => view.run === run).open(layers);
		this.seek(this.clock.steps.find((step) => step >= first_step) ?? first_step);
	};

	draw = (now) => {
		this.pending = null;
		if (this.clock.tick(now)) this.requestDraw();
		else if (this.wasPlaying && !this.clock.playing) this.state.set({ step: this.clock.target });
		this.wasPlaying = this.clock.playing;
		const nothing = this.listed && !this.views.length;
		if (nothing) updateChildren(this.empty, JSON.stringify(this.listed), () => emptyPage(this.listed.others));
		this.empty.hidden = !nothing;
		this.top.hidden = this.main.hidden = nothing;
		if (nothing || !this.views.length) return;
		const all = this.views.length > 1 ? "all steps and runs" : "all steps";
		setOptions(this.scale, ["", "own"], this.state.values.scale, (own) => (own ? "each step" : all));
		this.timeline.draw(this.views.map(({ run }) => run));
		for (const view of this.views) view.draw(this.views.length > 1);
		if (this.views[0].hasPicture && !this.marked) {
			this.marked = performance.mark("cnnviz:first-picture");
			this.tour.offer();
		}
	};

	onKey(event) {
		if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("select, input")) return;
		if (event.key === "?") this.help.toggle();
		if (this.help.element.open) return;
		const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
		const isSpace = event.key === " ";
		if (!(isSpace || event.key in moves) || (isSpace && event.target.closest("button, summary"))) return;
		event.preventDefault();
		if (isSpace) this.timeline.togglePlaying();
		else this.timeline.move(moves[event.key]);
	}
}

/** Loads a style sheet; the page works without, too. */
function loadStyle(name) {
	const sheet = h("link", { rel: "stylesheet", href: new URL(name, import.meta.url).href });
	document.head.append(sheet);
	return new Promise((resolve) => Object.assign(sheet, { onload: resolve, onerror: resolve }));
}

export async function render() {
	document.documentElement.lang = "en";
	document.title = "CNN Viz";
	borrowFont();
	await Promise.all([loadColours(), ...["style.css", "windows.css"].map(loadStyle)]);
	const app = new App();
	takeFocus();
	await app.poll();
}
