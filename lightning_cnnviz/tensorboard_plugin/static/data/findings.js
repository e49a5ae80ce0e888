// The findings of a diagnosis: all that a run has, when each of them held, and what was known of them at a step.
import { formatInteger } from "../draw/format.js";
import { memoised, readable } from "./selectors.js";
import { stepAt } from "./steps.js";

/**
 * The records of a run, [{step, findings}, …] by rising step. Each holds all findings known at its step, the most
 * probable cause first; `holds` says of a finding that it was still seen then.
 */
const recordsOf = memoised(["series", "findings"], (run) =>
	readable(run.framesOf("findings")).map(({ step, info }) => ({
		step,
		findings: (info.findings ?? []).map((one) => ({ ...one, holds: one.last_step >= step })),
	})),
);

/** All findings of a run, as its newest record has them. */
export const findingsOf = (run) => recordsOf(run).at(-1)?.findings ?? [];

/** {known, later, next}: what is known at a step, how many are told later, and the step at which the next one is. */
export function knownAt(run, step) {
	const records = recordsOf(run);
	const steps = records.map((record) => record.step);
	const current = steps.indexOf(stepAt(steps, step));
	const known = records[current]?.findings ?? [];
	const rules = new Set(known.map(({ rule }) => rule)); // each finds one thing in a run
	const isNew = ({ rule }) => !rules.has(rule);
	const next = records.slice(current + 1).find(({ findings }) => findings.some(isNew));
	return { known, later: findingsOf(run).filter(isNew).length, next: next?.step };
}

/** The findings of a run that hold at a step, as far as is known today. */
export const holdingAt = (run, step) =>
	findingsOf(run).filter(({ first_step, last_step, holds }) => first_step <= step && (step <= last_step || holds));

/** Some layers in few words. */
function layersInWords(layers) {
	const more = layers.length > 3 ? ` and ${layers.length - 2} more` : "";
	return layers.slice(0, more ? 2 : 3).join(", ") + more;
}

/** When a finding held, in words. */
const whenInWords = ({ first_step, last_step, holds }) =>
	holds || first_step === last_step
		? `${holds ? "since" : "at"} step ${formatInteger(first_step)}`
		: `step ${formatInteger(first_step)} to ${formatInteger(last_step)}`;

/** The parts of a finding's name: its title, its layers and when it held. */
export const findingInWords = (finding) =>
	[
		finding.title.replace(/^./u, (letter) => letter.toUpperCase()),
		layersInWords(finding.layers),
		whenInWords(finding),
	].filter(Boolean);
