// A node of the network as a button, and what the colours and signs on it mean.
import { findingInWords } from "../data/findings.js";
import { healthOf, signOf } from "../data/network.js";
import { dot, h } from "../draw/dom.js";

/** Health, the worst first → sign in the block, words in the legend. */
const HEALTH = new Map([
	["non-finite", ["✕", "not finite"]],
	["exploding", ["▴", "exploding"]],
	["vanishing", ["▾", "vanishing"]],
	["none", ["○", "no gradient"]],
	["unmeasured", ["?", "not measured"]],
	["ok", ["", "gradients flow"]],
]);
const SEVERITY = [...HEALTH.keys()];

const badge = (kind) => h("i", { class: "badge", "aria-hidden": "true" }, signOf(kind)[0]); // the title says it, too

/** A shape whose parts may stand in two lines. */
const sizeOf = ([first, ...rest]) =>
	rest.length ? [String(first), h("i", "times", "×"), h("span", "", rest.join("×"))] : [String(first)];

/** A name that may be broken between its parts, as BatchNorm2d behind Batch. */
const breakable = (name) =>
	name.split(/(?<=[a-z]{2})(?=[A-Z][a-z])|(?<=_)/).flatMap((part, k) => (k ? [h("wbr"), part] : [part]));

/** The signs of some kinds of series, and of all healths, with their meaning. */
export function legend(kinds) {
	const healths = [...HEALTH].map(([name, [sign, words]]) => {
		const disc = dot(`var(--${name})`, sign);
		disc.classList.add(name);
		return h("span", "", disc, words);
	});
	return [...kinds.map((kind) => h("span", "", badge(kind), signOf(kind)[1])), ...healths];
}

/** The button of a node of which `kinds` of series are recorded; its shape and badges are left out on request. */
export function makeBlock(node, index, kinds, { shape, badges, onclick }) {
	const [, number, rest] = node.label.match(/^([\d.…]+) (.*)$/) ?? [];
	const kind = node.blocks ? `${node.kind} ×${node.blocks}` : rest;
	return h(
		"button",
		{ class: "block", value: index, onclick },
		h("b", "", h("bdi", "", ...breakable(number ?? node.label))),
		kind ? h("small", "", ...breakable(kind)) : null,
		shape && node.shape?.length ? h("small", "shape", ...sizeOf(node.shape)) : null,
		badges && kinds.length ? h("span", "badges", ...kinds.map(badge)) : null,
	);
}

/**
 * The worst health among layers in a frame of the gradients, and how many are not measured though they learn. `layers`
 * are names with whether they learn.
 */
export function worstHealth(frame, layers) {
	let [worst, unmeasured] = ["", 0];
	for (const [name, learns] of layers) {
		const found = healthOf(frame, name);
		const health = HEALTH.has(found) ? found : "none";
		if (found === null) unmeasured += learns;
		else if (!worst || SEVERITY.indexOf(health) < SEVERITY.indexOf(worst)) worst = health;
	}
	return { health: worst || (unmeasured ? "unmeasured" : ""), unmeasured };
}

/** Puts a mark on a node that says which findings name it, or takes it away. */
export function markFindings(button, findings) {
	const words = findings.map((finding) => findingInWords(finding).join(" · ")).join("; ");
	button.querySelector(".pin")?.remove();
	if (!words) return;
	const sign = findings.length > 1 ? String(findings.length) : "!";
	button.append(h("i", { class: "pin", role: "img", title: words, "aria-label": words }, sign));
}

export const healthSign = (health) => (health ? HEALTH.get(health)[0] : "");

export const healthWords = (health) => HEALTH.get(health)[1];
