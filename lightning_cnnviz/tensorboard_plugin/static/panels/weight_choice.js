// Chooses which part of a layer's weights is shown, and says which are kept.
import { chosenInput, chosenQuantity, keptWords, QUANTITIES } from "../data/weight_parts.js";
import { dropdown, h, iconButton, setOptions, setSegments, setText } from "../draw/dom.js";
import { clamp } from "../draw/scales.js";

/** A drop-down with buttons for the one before and the one after. */
class Stepper {
	constructor(label, onChoose) {
		this.onChoose = onChoose;
		this.select = dropdown(label, onChoose);
		this.buttons = [
			iconButton("‹", `Previous ${label.toLowerCase()}`, () => this.move(-1)),
			iconButton("›", `Next ${label.toLowerCase()}`, () => this.move(1)),
		];
		this.element = h("span", "stepper", h("span", "", label), this.buttons[0], this.select, this.buttons[1]);
	}

	draw(values, chosen) {
		this.values = values;
		this.element.hidden = values.length < 2;
		setOptions(this.select, values.map(String), String(chosen), (value) => (value === "rgb" ? "RGB" : value));
		this.at = values.indexOf(chosen);
	}

	move(by) {
		this.onChoose(String(this.values[clamp(this.at + by, 0, this.values.length - 1)]));
	}
}

export class WeightChoice {
	constructor(view) {
		this.view = view;
		this.input = new Stepper("Input channel", (input) => view.state.set({ input }));
		this.slice = new Stepper("Slice", (slice) => view.state.set({ slice: Number(slice) }));
		this.quantities = h("div", "segments");
		this.kept = h("span", "aside");
		this.element = h("div", "choice", this.input.element, this.slice.element, this.quantities, this.kept);
	}

	/** Draws the choice in what `info` says that there is; hides it where there is none. */
	draw(kind, info) {
		const { state } = this.view;
		const isKernel = kind === "kernels";
		this.element.hidden = !info;
		if (!info) return;
		this.quantities.hidden = isKernel;
		for (const { element } of [this.input, this.slice]) element.hidden = !isKernel;
		setText(this.kept, keptWords(info));
		if (isKernel) {
			const { inputs, slices, picture } = info;
			const { input, slice } = chosenInput(info, state.values);
			this.input.draw(inputs.includes(picture) ? inputs : [picture, ...inputs], input);
			this.slice.draw(slices, slice);
		} else {
			const pairs = info.quantities.map((name) => [name, QUANTITIES[name]]);
			setSegments(this.quantities, pairs, chosenQuantity(info, state.values), (quantity) => state.set({ quantity }));
		}
	}
}
