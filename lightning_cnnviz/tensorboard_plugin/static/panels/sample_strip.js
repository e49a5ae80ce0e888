// The samples whose feature maps are recorded, each with its true class and the one that the network took it for.
import { h, updateChildren } from "../draw/dom.js";
import { thumbnail } from "../draw/images.js";

export class SampleStrip {
	constructor(view) {
		this.view = view;
		this.element = h("div", "samples");
	}

	/**
	 * Draws some of the `samples` by their indices, of which one is chosen; `predicted` are their classes in the frame that is
	 * shown. Samples that are not those of the whole run have a `key` and a `name` of their own.
	 */
	draw(samples, indices, chosen, predicted = []) {
		const { run, state } = this.view;
		const { name = "sample", key: own } = samples;
		const key = JSON.stringify([run.name, run.series.size, samples.targets.length, own, indices, predicted]);
		updateChildren(this.element, key, () =>
			indices.map((index, k) => {
				const [truth, guess] = [samples.targets[index], predicted[k]].map((place) => samples.classes[place]);
				const id = `#${index}`;
				const right = samples.targets[index] === predicted[k];
				const words = [truth && `true ${truth}`, guess && `predicted ${guess}`].filter(Boolean).join(", ");
				return h(
					"button",
					{ title: `${name} ${id}${words && `: ${words}`}`, onclick: () => state.set({ sample: index }) },
					thumbnail(samples, index, 32),
					h("small", "", truth ?? id),
					guess &&
						h("small", truth ? (right ? "right" : "wrong") : "", `${truth ? (right ? "✓" : "✗") : "→"} ${guess}`),
				);
			}),
		);
		for (const [k, button] of [...this.element.children].entries()) button.setAttribute("aria-pressed", k === chosen);
	}
}
