// Marks over the time axis, one where each finding begins; those that would overlap share one.
import { findingInWords, findingsOf } from "../data/findings.js";
import { h, tooltip, updateChildren } from "../draw/dom.js";
import { clamp } from "../draw/scales.js";

const SIZE = 24; // pixels, in each direction
const MAX_NAMED = 8; // findings of a mark

export class FindingMarks {
	/** `onChoose` is given a run and one of its findings. */
	constructor(onChoose) {
		this.onChoose = onChoose;
		this.element = h("div", "marks");
	}

	/** Draws a row for each run that has findings, over an axis from `low` to `high` of which `x` tells the place. */
	draw(runs, { low, high, x, width }) {
		const rows = runs.map((run, index) => [run, index, findingsOf(run)]).filter(([, , found]) => found.length);
		const key = JSON.stringify([low, high, width, rows.map(([run, index, found]) => [run.name, index, found])]);
		updateChildren(this.element, key, () =>
			rows.map(([run, index, found]) => {
				const name = runs.length > 1 ? `Findings in ${run.name}` : "Findings";
				const sign = runs.length > 1 ? h("i", index ? "stroke dashed" : "stroke") : "findings";
				const at = ({ first_step }) => x(clamp(first_step, low, high));
				const marks = grouped(found, at).map((group) => this.mark(run, group, at(group[0])));
				return h("div", { class: "row", role: "group", "aria-label": name }, h("small", "", sign), ...marks);
			}),
		);
	}

	mark(run, group, left) {
		const words = group.slice(0, MAX_NAMED).map((finding) => findingInWords(finding).join(" · "));
		if (group.length > words.length) words.push(`and ${group.length - words.length} more`);
		const tell = ({ currentTarget }) => {
			const { right: clientX, bottom: clientY } = currentTarget.getBoundingClientRect();
			const lines = words.map((line) => h("div", "", line));
			tooltip({ clientX: clientX - 8, clientY: clientY - 8 }, h("div", "", ...lines));
		};
		const hide = () => tooltip(null);
		const counted = group.length > 1 ? `${group.length} findings: ${words.join("; ")}` : words[0];
		return h(
			"button",
			{
				class: "mark",
				"aria-label": counted,
				style: { left: `${left - SIZE / 2}px` },
				onclick: () => this.onChoose(run, group[0]),
				onpointerenter: tell,
				onfocus: tell,
				onpointerleave: hide,
				onblur: hide,
			},
			h("i", "pin", group.length > 1 ? String(group.length) : "!"),
		);
	}
}

/** Findings by rising step, those together of which the marks would overlap. */
function grouped(findings, at) {
	const groups = [];
	for (const finding of [...findings].sort((a, b) => a.first_step - b.first_step)) {
		const last = groups.at(-1);
		if (last && at(finding) - at(last[0]) < SIZE) last.push(finding);
		else groups.push([finding]);
	}
	return groups;
}
