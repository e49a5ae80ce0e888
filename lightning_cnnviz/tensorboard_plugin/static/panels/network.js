// The layers as a row of blocks; their colour is the health of the gradients at the current step.
import { gradientsOf, layerGradients, layersOf, modelOf } from "../data/selectors.js";
import { dot, h, panel, setAttribute, setText, updateChildren } from "../draw/dom.js";
import { formatCount, formatNumber } from "../draw/format.js";

/** Health → sign in the block, words in the legend. */
const HEALTH = new Map([
	["ok", ["", "gradients flow"]],
	["vanishing", ["▾", "vanishing"]],
	["exploding", ["▴", "exploding"]],
	["non-finite", ["✕", "not finite"]],
	["none", ["", "no gradient"]],
	["not-measured", ["", "not measured"]],
]);

const joined = (parts, separator = " · ") => parts.filter(Boolean).join(separator);

export class NetworkPanel {
	constructor(view) {
		this.view = view;
		this.row = h("div", { class: "row", role: "listbox", "aria-label": "Layers", onkeydown: this.navigate });
		this.summary = h("span", "aside");
		const legend = [...HEALTH].map(([name, [sign, words]]) => h("span", "", dot(`var(--${name})`, sign), words));
		this.element = panel("network", "Network", [this.summary, h("div", "key", ...legend)], this.row);
	}

	navigate = (event) => {
		const sibling = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
		const block = event.target.closest(".block");
		if (!sibling || !block) return;
		event.stopPropagation();
		event.preventDefault();
		block[sibling]?.focus();
		block[sibling]?.click();
	};

	draw() {
		const { run, clock, layer: open } = this.view;
		const layers = layersOf(run);
		const model = modelOf(run);
		const parameters = layers.reduce((sum, layer) => sum + (layer.parameters ?? 0), 0);
		const summary = joined([
			model?.name,
			layers.length && `${layers.length} layers`,
			parameters && `${formatCount(parameters)} parameters`,
			model?.input_shape && `input ${model.input_shape.join(" × ")}`,
		]);
		setText(this.summary, summary);
		updateChildren(this.row, JSON.stringify([run.name, layers]), () => layers.map((layer) => this.block(layer)));
		const gradients = gradientsOf(run);
		const step = clock.stepIn(gradients.steps);
		const key = `${run.versionOf("series", "model", "gradients")} ${step} ${open}`;
		if (key === this.drawn) return;
		this.drawn = key;
		const frame = gradients.frames[gradients.steps.indexOf(step)];
		const openIndex = layers.findIndex((layer) => layer.name === open);
		for (const [index, layer] of layers.entries()) {
			const block = this.row.children[index];
			const found = frame && layerGradients(frame, layer.name);
			const health = found?.health ?? "not-measured";
			const box = block.querySelector(".box");
			if (box.dataset.health !== health) {
				box.dataset.health = health;
				box.style.background = `var(--${HEALTH.has(health) ? health : "not-measured"})`;
				box.textContent = HEALTH.get(health)?.[0] ?? "";
			}
			const words = found && `mean |gradient| ${formatNumber(found.values.mean_abs)} (${health})`;
			const title = joined([layer.name, words], "\n");
			if (block.title !== title) block.title = title;
			const selected = index === openIndex;
			if (selected && block.getAttribute("aria-selected") !== "true") {
				this.row.scrollTo({ left: block.offsetLeft - this.row.clientWidth / 2 + block.offsetWidth / 2 });
			}
			setAttribute(block, "aria-selected", selected);
			setAttribute(block, "tabindex", index === Math.max(openIndex, 0) ? 0 : -1);
		}
	}

	block({ name, kind, shape, parameters }) {
		const open = () => this.view.state.set({ layer: name });
		const onkeydown = (event) => {
			if (event.key === "Enter") open();
		};
		const [channels = 1, side = 1] = shape ?? [];
		const width = `${Math.min(14 + 6 * Math.log2(channels + 1), 76)}px`;
		const height = `${Math.min(8 + 6.5 * Math.log2(side), 52)}px`;
		return h(
			"div",
			{ class: "block", role: "option", onclick: open, onkeydown },
			h("div", "stage", h("div", { class: "box", style: { width, height } })),
			h("b", "", h("bdi", "", name)),
			h("small", "", shape?.join(" × ") ?? kind ?? ""),
			h("small", "", joined([shape && kind, parameters && formatCount(parameters)])),
		);
	}
}
