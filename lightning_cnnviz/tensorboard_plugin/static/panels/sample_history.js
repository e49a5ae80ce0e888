// The life of one sample of the training or the validation, found by its number.
import { dropdown, h, panel, setOptions, setText, showMessage, updateChildren } from "../draw/dom.js";
import { firstRecorded, formatInteger, formatNumber, frameInWords } from "../draw/format.js";
import { clamp } from "../draw/scales.js";
import { ValueHistory } from "./value_history.js";

const SPLITS = { train: "training", val: "validation" };

export class SampleHistoryPanel {
	constructor(view) {
		this.view = view;
		this.split = dropdown("Split", (split) => view.state.set({ split, numbered: undefined }));
		this.number = h("input", {
			type: "number",
			min: 0,
			title: "Number of a sample in its dataset",
			"aria-label": "Number of a sample in its dataset",
			onchange: () => view.state.set({ numbered: clamp(Math.round(Number(this.number.value)), 0, this.number.max) }),
		});
		this.step = h("span", "aside");
		this.hint = h("p", "hint");
		this.words = h("p");
		this.history = new ValueHistory(view);
		this.listed = h("div", { class: "classes", style: { maxHeight: "none" } });
		this.body = h(
			"div",
			"",
			this.words,
			this.history.element,
			h("h3", "", "Probably wrong labels, the most suspicious first"),
			this.listed,
		);
		const controls = [this.split, h("span", "", "#"), this.number, this.step];
		this.element = panel("sample_history", "Samples", controls, this.hint, this.body);
	}

	get active() {
		return this.view.run.seriesOf("sample_history").length > 0;
	}

	draw() {
		const { run, state, clock } = this.view;
		const all = run.seriesOf("sample_history");
		const splits = all.map((series) => series.split);
		const split = splits.includes(state.values.split) ? state.values.split : splits.at(0);
		setOptions(this.split, splits, split, (name) => SPLITS[name] ?? name);
		const series = all[splits.indexOf(split)];
		const step = clock.stepIn(series.steps);
		const find = (each) => each.seriesOf("sample_history").find((one) => one.split === split);
		const listing = (each, own) => own && each.frame(own.partOf({ place: [0] }), clock.stepIn(own.steps));
		const first = listing(run, series); // in which also stands what is listed
		const [lead] = this.view.runs; // runs that are compared show the same sample
		const suspect = (listing(lead, find(lead)) ?? first)?.info?.listed[0]?.sample;
		const number = state.values.numbered ?? suspect ?? 0;
		const frame = number ? run.frame(series.partOf({ place: [number] }), step) : first;
		const lost = first?.info && number >= first.info.samples && `There is no sample ${formatInteger(number)}.`;
		showMessage(this.hint, step === null ? firstRecorded(series.steps) : lost || frame?.error);
		this.body.hidden = !this.hint.hidden;
		if (document.activeElement !== this.number) this.number.value = number;
		if (first?.info) this.number.max = first.info.samples - 1;
		if (this.body.hidden || !frame?.info) return;
		setText(this.step, frameInWords(frame.step, clock.step));
		setText(this.words, inWords(number, frame));
		this.history.drawPart(series, number, `Sample ${formatInteger(number)}, margin in each pass`, find, [0]);
		const { listed } = frame.info;
		updateChildren(this.listed, JSON.stringify([split, listed]), () =>
			listed.length ? listed.map((one) => this.entry(one)) : "none: no margin is below zero on average",
		);
		for (const [k, button] of [...this.listed.querySelectorAll("button")].entries())
			button.setAttribute("aria-pressed", listed[k].sample === number);
	}

	entry({ sample, margin, first_learned: learned, forgotten }) {
		const title = `margin ${formatNumber(margin)} on average, ${learned ? `learned in epoch ${learned}` : "never learned"}, forgotten ${forgotten} times`;
		return h(
			"button",
			{ title, onclick: () => this.view.state.set({ numbered: sample }) },
			`#${formatInteger(sample)}`,
		);
	}
}

/** What a frame says of its sample. */
function inWords(number, { arrays, info }) {
	const [margin, given, said] = ["values", "targets", "predicted"].map((name) => arrays[name].data[0]);
	const name = (index) => info.classes[index] ?? index;
	if (Number.isNaN(margin)) return `Sample ${formatInteger(number)} was not in this pass.`;
	const right = given === said ? "✓ right" : `✗ predicted ${name(said)}`;
	return `Sample ${formatInteger(number)}: labelled ${name(given)}, ${right}, margin ${formatNumber(margin)}`;
}
