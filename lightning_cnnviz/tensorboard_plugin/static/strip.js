// The architecture as a row of blocks; their colour is the health of the gradients at the current step.
import { h, panel, refill } from "./dom.js";
import { gradientRow, gradients, layers, modelOf } from "./facts.js";
import { number, short } from "./format.js";
import { stepAt } from "./run.js";

const HEALTH = new Map([
	["ok", ["", "gradients flow"]],
	["vanishing", ["▾", "vanishing"]],
	["exploding", ["▴", "exploding"]],
	["non-finite", ["✕", "not finite"]],
	["none", ["", "no gradient"]],
]);

export class Strip {
	constructor(view) {
		this.view = view;
		this.row = h("div", { class: "row", role: "listbox", "aria-label": "Layers", onkeydown: this.walk });
		this.summary = h("span", "aside");
		this.element = panel("strip", "Network",
			[this.summary, h("div", "key", ...[...HEALTH].map(([name, [sign, words]]) =>
				h("span", "", h("i", { class: "dot", style: { background: `var(--${name})` } }, sign), words)))], this.row);
	}

	walk = (event) => {
		const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
		const block = event.target.closest(".block");
		if (!step || !block) return;
		event.stopPropagation();
		event.preventDefault();
		const next = step > 0 ? block.nextElementSibling : block.previousElementSibling;
		next?.focus();
		next?.click();
	};

	draw({ clock, state }) {
		const { run } = this.view;
		const all = layers(run);
		const model = modelOf(run);
		const total = all.reduce((sum, layer) => sum + (layer.parameters ?? 0), 0);
		this.summary.textContent = [model?.name, all.length && `${all.length} layers`, total && `${short(total)} parameters`,
			model?.input_shape && `input ${model.input_shape.join(" × ")}`].filter(Boolean).join(" · ");
		refill(this.row, JSON.stringify([run.name, all]), () => all.map((layer) => this.block(layer, state)));
		const flow = gradients(run);
		const step = stepAt(flow.steps, clock.step);
		const key = `${run.version} ${step} ${this.view.layer}`;
		if (key === this.drawn) return;
		this.drawn = key;
		const frame = flow.frames[flow.steps.indexOf(step)];
		all.forEach((layer, index) => {
			const block = this.row.children[index];
			const row = frame && gradientRow(frame, layer.name);
			const health = row?.health ?? "none";
			const box = block.querySelector(".box");
			box.style.background = `var(--${HEALTH.has(health) ? health : "none"})`;
			box.textContent = HEALTH.get(health)?.[0] ?? "";
			block.title = [layer.name, row && `mean |gradient| ${number(row.values.mean_abs)} (${health})`].filter(Boolean).join("\n");
			const chosen = layer.name === this.view.layer;
			if (chosen && block.getAttribute("aria-selected") !== "true") {
				this.row.scrollTo({ left: block.offsetLeft - this.row.clientWidth / 2 + block.offsetWidth / 2 });
			}
			block.setAttribute("aria-selected", chosen);
			block.tabIndex = chosen || (index === 0 && !all.some(({ name }) => name === this.view.layer)) ? 0 : -1;
		});
	}

	block(layer, state) {
		const [channels = 1, side = 1] = layer.shape ?? [];
		const shape = layer.shape?.join(" × ");
		return h("div", { class: "block", role: "option", onclick: () => state.set({ layer: layer.name }),
			onkeydown: (event) => { if (event.key === "Enter") state.set({ layer: layer.name }); } },
			h("div", "stage", h("div", { class: "box", style: {
				width: `${Math.min(14 + 6 * Math.log2(channels + 1), 76)}px`, height: `${Math.min(8 + 6.5 * Math.log2(side), 52)}px`,
			} })),
			h("b", "", h("bdi", "", layer.name)),
			h("small", "", shape ?? layer.kind ?? ""),
			h("small", "", [shape && layer.kind, layer.parameters ? short(layer.parameters) : null].filter(Boolean).join(" · ")));
	}
}
