// The network: what ran and what flowed between; colours are the health of the gradients at the current step.
import { graphOf, recordedOf, signOf } from "../data/network.js";
import { gradientsOf, layerGradients, layersOf, modelOf } from "../data/selectors.js";
import { dot, h, panel, showMessage, updateChildren } from "../draw/dom.js";
import { formatCount, formatNumber } from "../draw/format.js";
import { NetworkGraph } from "./network_graph.js";

/** Health, the worst first → sign in the block, words in the legend. */
const HEALTH = new Map([
	["non-finite", ["✕", "not finite"]],
	["exploding", ["▴", "exploding"]],
	["vanishing", ["▾", "vanishing"]],
	["none", ["○", "no gradient"]],
	["unmeasured", ["?", "not measured"]],
	["ok", ["", "gradients flow"]],
]);

const healthDot = (name, sign) => {
	const disc = dot(`var(--${name})`, sign);
	disc.classList.add(name);
	return disc;
};
const joined = (parts, separator = " · ") => parts.filter(Boolean).join(separator);

/** A shape whose parts may stand in two lines. */
const sizeOf = ([first, ...rest]) =>
	rest.length ? [String(first), h("i", "times", "×"), h("span", "", rest.join("×"))] : [String(first)];

export class NetworkPanel {
	constructor(view) {
		this.view = view;
		this.summary = h("span", "aside");
		this.key = h("div", "key");
		this.scroller = h("div", { class: "scroller", onkeydown: this.navigate });
		this.info = h("p", "info");
		this.notes = h("p", "info");
		this.element = panel("network", "Network", [this.summary, this.key], this.scroller, this.notes, this.info);
		this.toggled = new Set();
		this.sizes = new ResizeObserver(() => this.graph.drawEdges());
	}

	/** Arrow keys go from button to button; a node is chosen, too. */
	navigate = (event) => {
		const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
		if (!move) return;
		event.stopPropagation();
		event.preventDefault();
		const buttons = [...this.scroller.querySelectorAll("button")];
		const next = buttons[buttons.indexOf(event.target.closest("button")) + move];
		if (next?.classList.contains("block")) next.click();
		next?.focus();
	};

	draw() {
		const { run, clock, layer: open } = this.view;
		const gradients = gradientsOf(run);
		const step = clock.stepIn(gradients.steps);
		const key = `${run.version} ${step} ${open}`;
		if (key === this.drawn) return;
		this.drawn = key;
		if (this.version !== run.version) this.build();
		this.colour(gradients.frames[gradients.steps.indexOf(step)]);
		if (open !== this.open && (this.open === null || this.nodes[this.chosen]?.name !== open)) {
			this.chosen = this.nodes.findIndex((node) => node.module && node.name === open);
		}
		this.open = open;
		this.mark();
	}

	/** Makes the buttons anew if something is new of which they tell. */
	build() {
		const { run } = this.view;
		this.version = run.version;
		const [model, layers] = [modelOf(run), layersOf(run)];
		this.recorded = recordedOf(run);
		const told = [...this.recorded].map(([layer, kinds]) => [layer, ...kinds]);
		const contents = JSON.stringify([run.name, model, layers.length, told]);
		if (contents === this.contents) return;
		this.contents = contents;
		if (this.model !== model) this.open = null; // the numbers of the nodes are others
		this.model = model;
		this.data = graphOf(run);
		this.nodes = this.data.nodes;
		this.names = new Set(layers.map((layer) => layer.name));
		this.parts = this.nodes.map((node) => [node.name].filter(() => node.module));
		for (const [index, node] of this.nodes.entries()) {
			for (let up = node.parent; up !== null && up !== undefined; up = this.nodes[up].parent) {
				this.parts[up].push(...this.parts[index].slice(0, 1));
			}
		}
		const parameters = layers.reduce((sum, layer) => sum + (layer.parameters ?? 0), 0);
		this.summary.textContent = joined([
			model?.name,
			layers.length && `${layers.length} layers`,
			parameters && `${formatCount(parameters)} parameters`,
			model?.input_shape && `input ${model.input_shape.join(" × ")}`,
			this.data.within && `names are within ${this.data.within}`,
		]);
		showMessage(
			this.notes,
			joined(
				this.data.notes.map((note) => `Not drawn: ${note}.`),
				" ",
			),
		);
		const kinds = [...new Set([...this.recorded.values()].flatMap((found) => [...found]))];
		updateChildren(this.key, kinds.join(), () => [
			...kinds.map((kind) => h("span", "", h("i", "badge", signOf(kind)[0]), signOf(kind)[1])),
			...[...HEALTH].map(([name, [sign, words]]) => h("span", "", healthDot(name, sign), words)),
		]);
		this.arrange();
	}

	/** Makes the buttons of what is unfolded. */
	arrange() {
		const folded = new Set(this.data.folded);
		for (const group of this.toggled) folded[folded.has(group) ? "delete" : "add"](group);
		this.graph = new NetworkGraph(
			this.data,
			folded,
			(index, withShape) => this.block(index, withShape),
			(index, open) => this.toggle(index, open),
		);
		this.scroller.replaceChildren(this.graph.element);
		this.states = new Map();
		this.sizes.disconnect();
		this.sizes.observe(this.graph.element);
	}

	toggle(group, open) {
		const words = `${open ? "Fold" : "Unfold"} ${this.nodes[group].label}`;
		const onclick = () => {
			if (!this.toggled.delete(group)) this.toggled.add(group);
			this.arrange();
			this.drawn = null;
			this.draw();
			this.scroller.querySelector(`.toggle[value="${group}"]`)?.focus();
		};
		const properties = { class: "toggle", value: group, title: words, "aria-label": words, "aria-expanded": open };
		return h("button", { ...properties, onclick }, open ? "−" : "+");
	}

	block(index, withShape) {
		const { label, kind, shape, blocks } = this.nodes[index];
		const [, number, rest] = label.match(/^([\d.…]+) (.*)$/) ?? [];
		const kinds = this.kindsOf(index);
		const badges = h("span", "badges", ...kinds.map((name) => h("i", "badge", signOf(name)[0])));
		return h(
			"button",
			{ class: "block", value: index, onclick: () => this.choose(index) },
			h("b", "", h("bdi", "", number ?? label)),
			rest || blocks ? h("small", "", blocks ? `${kind} ×${blocks}` : rest) : null,
			withShape && shape?.length ? h("small", "shape", ...sizeOf(shape)) : null,
			kinds.length && withShape !== null ? badges : null,
		);
	}

	/** What is recorded of a node; of a group, of any of its parts. */
	kindsOf(index) {
		return [...new Set(this.parts[index].flatMap((name) => [...(this.recorded.get(name) ?? [])]))];
	}

	choose(index) {
		const { name, module } = this.nodes[index];
		this.chosen = index;
		if (module && this.names.has(name)) this.view.state.set({ layer: name });
		this.mark();
	}

	/** Colours the nodes by the health of their gradients; a group by the worst of its layers. */
	colour(frame) {
		let changed = false;
		for (const [index, button] of this.graph.buttons) {
			const found = this.parts[index].map((name) => frame && layerGradients(frame, name)).filter(Boolean);
			const healths = found.map(({ health }) => (HEALTH.has(health) ? health : "none"));
			const measurable = this.nodes[index].parameters > 0;
			const state = [...HEALTH.keys()].find((name) => healths.includes(name)) ?? (measurable ? "unmeasured" : "");
			const values = found.length === 1 ? `mean |gradient| ${formatNumber(found[0].values.mean_abs)}` : "";
			const words = state && joined([values, HEALTH.get(state)[1]], ", ");
			if (this.states.get(index) === words) continue;
			this.states.set(index, words);
			changed = true;
			button.dataset.health = state;
			button.firstChild.dataset.sign = state ? ` ${HEALTH.get(state)[0]}` : "";
			button.title = this.describe(index);
			button.setAttribute("aria-label", button.title);
		}
		if (changed) this.graph.drawEdges(); // the signs take room
	}

	/** A node in words. */
	describe(index) {
		const { name, label, kind, shape, parameters, module, blocks, parent } = this.nodes[index];
		const kinds = this.kindsOf(index).map((found) => signOf(found)[1]);
		const place = module ? name : name && `in ${name}`;
		const group = this.data.levels.has(index);
		return joined([
			module && !blocks ? place : label,
			module ? kind : place,
			blocks && `${blocks} equal blocks`,
			shape && `output ${shape.join(" × ")}`,
			parameters && `${formatCount(parameters)} parameters`,
			this.states.get(index) && (group ? `worst: ${this.states.get(index)}` : this.states.get(index)),
			kinds.length ? `recorded: ${kinds.join(", ")}` : parent !== undefined && "nothing recorded",
		]);
	}

	/** Marks what is chosen, or the folded group that it is in. */
	mark() {
		const chosen = this.graph.visible(this.chosen);
		for (const button of this.graph.buttons.values()) {
			button.setAttribute("aria-pressed", button === chosen);
			button.tabIndex = button === (chosen ?? this.graph.buttons.values().next().value) ? 0 : -1;
		}
		for (const toggle of this.scroller.querySelectorAll(".toggle")) toggle.tabIndex = -1;
		this.info.textContent = this.nodes[this.chosen] ? this.describe(this.chosen) : "";
		if (chosen && chosen !== this.marked) this.reveal(chosen);
		this.marked = chosen;
	}

	reveal(button) {
		const [outer, inner] = [this.scroller.getBoundingClientRect(), button.getBoundingClientRect()];
		if (inner.left < outer.left || inner.right > outer.right) {
			this.scroller.scrollLeft += (inner.left + inner.right - outer.left - outer.right) / 2;
		}
	}
}
