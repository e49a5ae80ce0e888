// What a diagnosis had found in the run by the current step, with its evidence, and what to try.
import { findingInWords, knownAt } from "../data/findings.js";
import { h, panel, setText, updateChildren } from "../draw/dom.js";
import { formatInteger } from "../draw/format.js";
import { clamp } from "../draw/scales.js";

/** First part of a chart's tag → kinds of series that the tab has of what it shows, and where it is. */
const CHARTS = {
	curves: [["curves"], ".slider"],
	architecture: [["model"], ".network .block[tabindex='0']"],
	gradient_flow: [["gradients"], ".gradients canvas"],
	activations: [["activations"], ".distribution canvas"],
	kernels: [["kernels", "weights"], ".layer canvas"],
	feature_maps: [["feature_maps"], ".layer canvas"],
};

const SETTLING = 1000; // milliseconds in which pictures arrive and move those below them

export class FindingsPanel {
	constructor(view) {
		this.view = view;
		this.opened = new Map(); // rule → whether its details are open, where that was chosen
		this.words = h("span", "aside");
		this.next = h("button", { class: "link", onclick: () => view.seek(this.nextStep) });
		this.list = h("div");
		this.element = panel("findings", "Findings", [this.words, this.next], this.list);
	}

	get active() {
		const { known, later } = knownAt(this.view.run, this.view.clock.step);
		return known.length + later > 0;
	}

	draw() {
		const { run, clock } = this.view;
		const { known, later, next } = knownAt(run, clock.step);
		const had = this.element.contains(document.activeElement);
		const entry = [...this.list.children].indexOf(document.activeElement.closest("details"));
		const told = later ? `${later} ${known.length ? "more " : ""}told later:` : "";
		setText(this.words, known.length ? told : `none is known at this step, ${told}`);
		setText(this.next, later ? `go to step ${formatInteger(next)}` : "");
		this.nextStep = next;
		this.next.hidden = !later;
		const key = JSON.stringify([known, known.map((finding) => Boolean(this.chartOf(finding)))]);
		updateChildren(this.list, key, () => known.map((finding, k) => this.entry(finding, k === 0)));
		if (had && (document.activeElement === document.body || !document.activeElement.checkVisibility())) {
			this.list.children[clamp(entry, 0, known.length - 1)]?.firstChild.focus(); // what had the keyboard is gone
		}
	}

	entry(finding, first) {
		const { rule, layers, evidence, advice, sure, source, chart, told_step } = finding;
		const [title, ...rest] = [...findingInWords(finding), `told at step ${formatInteger(told_step)}`, sure];
		const line = (name, ...content) => [h("dt", "", name), h("dd", "", ...content)];
		const show = { class: "link", onclick: () => this.showChart(finding) };
		const details = h(
			"details",
			{ open: this.opened.get(rule) ?? first },
			h(
				"summary",
				{ onclick: () => this.opened.set(rule, !details.open) },
				h("i", { class: "pin", "aria-hidden": "true" }, "!"),
				" ",
				h("b", "", title),
				` · ${rest.join(" · ")}`,
			),
			h(
				"dl",
				"",
				...line("Evidence", evidence, " ", this.chartOf(finding) ? h("button", show, "show the chart") : chart),
				...line("Try", advice),
				...(layers.length > 3 ? line("Layers", layers.join(", ")) : []),
				...line("Source", source),
			),
		);
		return details;
	}

	/** {kind, layer, place} of what the tab has of the chart of a finding, or nothing. */
	chartOf({ chart, layers }) {
		const { run, layer: open } = this.view;
		const [kinds = [], place] = CHARTS[chart.split("/")[0]] ?? [];
		for (const kind of kinds) {
			const layer = (layers.length ? layers : [open]).find((name) => run.findSeries(kind, name));
			if (layer !== undefined) return { kind, layer, place };
			if (run.findSeries(kind)) return { kind, layer: layers[0], place }; // one for all layers
		}
		return null;
	}

	/** Opens the layer of a finding, and takes the keyboard to the picture that shows its numbers. */
	showChart(finding) {
		const { kind, layer, place } = this.chartOf(finding);
		this.view.open([layer], place.startsWith(".layer") ? { view: kind } : {});
		const within = kind === "curves" ? document : this.view.element; // both runs have one time axis
		requestAnimationFrame(() => {
			const found = [...within.querySelectorAll(place)].find((one) => one.checkVisibility());
			if (!found) return;
			found.focus({ preventScroll: true });
			const sizes = new ResizeObserver(() => found.scrollIntoView({ block: "center" }));
			sizes.observe(this.view.element);
			setTimeout(() => sizes.disconnect(), SETTLING);
		});
	}
}
