// The network: what ran and what flowed between; colours are the health of the gradients at the current step.
import { findingInWords, holdingAt } from "../data/findings.js";
import { graphOf, recordedOf, signOf, sorted } from "../data/network.js";
import { gradientsOf, layerGradients, layersOf, modelOf } from "../data/selectors.js";
import { h, panel, scrollIntoMiddle, showMessage, updateChildren } from "../draw/dom.js";
import { formatCount, formatNumber } from "../draw/format.js";
import { widthOf } from "../draw/width.js";
import { healthSign, healthWords, legend, makeBlock, markFindings, worstHealth } from "./network_block.js";
import { NetworkGraph } from "./network_graph.js";

const KINDS = ["series", "model", "gradients"]; // of frames that the panel looks at

const joined = (parts, separator = " · ") => parts.filter(Boolean).join(separator);

export class NetworkPanel {
	constructor(view) {
		this.view = view;
		this.summary = h("span", "aside");
		this.key = h("div", "key");
		this.scroller = h("div", { class: "scroller", onkeydown: this.navigate });
		this.info = h("p", "info");
		this.notes = h("p", "info");
		this.element = panel("network", "Network", [this.summary, this.key], this.scroller, this.notes, this.info);
		this.sizes = new ResizeObserver(() => this.fit());
		this.inView = new Set(); // indices of nodes
		this.views = new IntersectionObserver((entries) => this.noteViews(entries), { root: this.scroller });
	}

	/** Makes the nodes narrow and high where the graph is wider than there is room. */
	narrow(width) {
		this.width = width;
		const { classList } = this.graph.element;
		classList.remove("narrow");
		classList.toggle("narrow", this.scroller.scrollWidth > this.scroller.clientWidth);
	}

	/** After the layout has changed. */
	fit() {
		if (!this.element.isConnected) return; // another run has taken its place
		this.graph.drawEdges();
		if (this.marked) scrollIntoMiddle(this.scroller, this.marked);
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
		const { toggled = "" } = this.view.state.values;
		const findings = holdingAt(run, clock.step);
		const told = JSON.stringify(findings.map((finding) => [findingInWords(finding), finding.layers]));
		const width = widthOf(this.scroller, this.view.requestDraw);
		const key = `${run.versionOf(...KINDS)} ${step} ${open} ${toggled} ${clock.isMoving} ${width} ${told}`;
		if (key === this.drawn) return;
		this.drawn = key;
		if (this.version !== run.versionOf(...KINDS)) this.build();
		if (toggled !== this.toggled) this.arrange(toggled);
		if (width !== this.width) this.narrow(width);
		this.colour(gradients.frames[gradients.steps.indexOf(step)]);
		if (open !== this.open && (this.open === null || this.nodes[this.chosen]?.name !== open)) {
			this.chosen = this.nodes.findIndex((node) => node.module && node.name === open);
		}
		this.open = open;
		this.mark();
		if (told !== this.told) this.markFindings(findings);
		this.told = told;
	}

	/** Makes the buttons anew if something is new of which they tell. */
	build() {
		const { run } = this.view;
		this.version = run.versionOf(...KINDS);
		const [model, layers] = [modelOf(run), layersOf(run)];
		this.recorded = recordedOf(run);
		const told = [...this.recorded].map(([layer, kinds]) => [layer, ...kinds]);
		const contents = JSON.stringify([run.name, layers.length, told]);
		if (contents === this.contents && this.model === model) return;
		this.contents = contents;
		if (this.model !== model) this.open = null; // the nodes have other numbers
		this.model = model;
		this.data = graphOf(run);
		this.nodes = this.data.nodes;
		this.names = new Set(layers.map((layer) => layer.name));
		this.parts = this.nodes.map(() => new Map()); // name of a layer → whether it has weights, of each node
		for (const [index, { name, module, parameters }] of this.nodes.entries()) {
			const learns = parameters > 0 && !this.data.levels.has(index);
			for (let at = index; module && at !== null && at !== undefined; at = this.nodes[at].parent) {
				this.parts[at].set(name, learns);
			}
		}
		const parameters = layers.reduce((sum, layer) => sum + (layer.parameters ?? 0), 0);
		this.summary.textContent = joined([
			model?.name,
			model?.layers?.length && `${model.layers.length} layers`,
			parameters && `${formatCount(parameters)} parameters`,
			model?.input_shape && `input ${model.input_shape.join(" × ")}`,
			this.data.within && `names are within ${this.data.within}`,
		]);
		const missing = this.data.notes.map((note) => `Not drawn: ${note}.`);
		showMessage(this.notes, missing.join(" "));
		const kinds = sorted([...this.recorded.values()].flatMap((found) => [...found]));
		updateChildren(this.key, kinds.join(), () => legend(kinds));
		this.toggled = null; // to be arranged anew
	}

	/** Makes the buttons of what is unfolded; `toggled` names the groups that are not as they were at first. */
	arrange(toggled) {
		this.toggled = toggled;
		const changed = new Set(toggled.split(","));
		const groups = [...this.data.levels.keys()].filter((group) => group !== null);
		const folded = new Set(groups.filter((group) => this.data.folded.has(group) !== changed.has(this.nameOf(group))));
		this.graph = new NetworkGraph(this.data, folded, this.block, this.toggle);
		this.scroller.replaceChildren(this.graph.element);
		this.states = new Map();
		this.marked = this.told = this.width = undefined;
		this.sizes.disconnect();
		this.sizes.observe(this.graph.element);
		this.views.disconnect();
		this.inView.clear();
		for (const button of this.graph.buttons.values()) this.views.observe(button);
	}

	toggle = (group, open) => {
		const words = `${open ? "Fold" : "Unfold"} ${this.nodes[group].label}`;
		const onclick = () => {
			const { state } = this.view;
			const changed = new Set(this.toggled.split(",").filter(Boolean));
			if (!changed.delete(this.nameOf(group))) changed.add(this.nameOf(group));
			state.set({ toggled: [...changed].join() || undefined });
			this.draw();
			this.scroller.querySelector(`.toggle[value="${group}"]`)?.focus();
		};
		const properties = { class: "toggle", value: group, title: words, "aria-label": words, "aria-expanded": open };
		return h("button", { ...properties, onclick }, open ? "−" : "+");
	};

	/** What tells a group from others, also in the next run: its name, and which of its calls it is. */
	nameOf(group) {
		const { name, label, blocks } = this.nodes[group];
		return `${name}${label.match(/ \(\d+\)$/)?.[0].trim() ?? ""}${blocks ? "…" : ""}`;
	}

	block = (index, options) =>
		makeBlock(this.nodes[index], index, this.kindsOf(index), { ...options, onclick: () => this.choose(index) });

	/** What is recorded of a node; of a group, of any of its parts. */
	kindsOf(index) {
		return sorted([...this.parts[index].keys()].flatMap((name) => [...(this.recorded.get(name) ?? [])]));
	}

	choose(index) {
		const { name, module } = this.nodes[index];
		this.chosen = index;
		if (module && this.names.has(name)) this.view.state.set({ layer: name });
		this.mark();
	}

	/** Nodes that have come into view are coloured at once, also while time moves. */
	noteViews(entries) {
		for (const { target, isIntersecting } of entries) {
			this.inView[isIntersecting ? "add" : "delete"](Number(target.value));
		}
		this.drawn = null;
		this.view.requestDraw();
	}

	/**
	 * Colours the nodes by the health of their gradients; a group by the worst of its layers. While time moves, those
	 * that are out of view wait: to style a thousand buttons takes longer than there is between two pictures.
	 */
	colour(frame) {
		this.frame = frame;
		const moving = this.view.clock.isMoving;
		for (const [index, button] of this.graph.buttons) {
			if (moving && !this.inView.has(index)) continue;
			const state = worstHealth(frame, this.parts[index]);
			const before = this.states.get(index);
			if (before?.health === state.health && before.unmeasured === state.unmeasured) continue;
			this.states.set(index, state);
			button.dataset.health = state.health;
			button.firstChild.dataset.sign = healthSign(state.health);
			button.title = this.describe(index);
		}
	}

	/** What is known of a node's gradients at the current step. */
	gradientsOf(index) {
		const { health, unmeasured } = this.states.get(index) ?? worstHealth(this.frame, this.parts[index]);
		if (!health) return "";
		if (!this.data.levels.has(index) || health === "unmeasured") return healthWords(health);
		return joined([`worst of its layers: ${healthWords(health)}`, unmeasured && `${unmeasured} not measured`], ", ");
	}

	/** A node in words. */
	describe(index) {
		const { name, label, kind, shape, parameters, module, blocks, parent } = this.nodes[index];
		const kinds = this.kindsOf(index).map((found) => signOf(found)[1]);
		const place = module ? name : name && `in ${name}`;
		return joined([
			module && !blocks ? place : label,
			module ? kind : place,
			blocks && `${blocks} equal blocks`,
			shape && `output ${shape.join(" × ")}`,
			parameters && `${formatCount(parameters)} parameters`,
			this.gradientsOf(index),
			kinds.length ? `recorded: ${kinds.join(", ")}` : parent !== undefined && "nothing recorded",
		]);
	}

	/** Marks what is chosen, or the folded group that it is in. */
	mark() {
		const chosen = this.graph.visible(this.chosen);
		const node = this.nodes[this.chosen];
		const found = node?.module && this.frame && layerGradients(this.frame, node.name);
		const number = found && `mean |gradient| ${formatNumber(found.values.mean_abs)}`;
		this.info.textContent = node ? joined([this.describe(this.chosen), number]) : "";
		if (chosen === this.marked && chosen) return;
		this.marked = chosen;
		const buttons = [...this.graph.buttons.values()];
		for (const button of buttons) button.setAttribute("aria-pressed", button === chosen);
		for (const button of this.scroller.querySelectorAll("button")) button.tabIndex = -1;
		const stop = chosen ?? buttons[0];
		if (stop) stop.tabIndex = 0;
		if (chosen) scrollIntoMiddle(this.scroller, chosen);
	}

	/** Marks the layers that findings name; those within a folded group on that. */
	markFindings(findings) {
		for (const [index, button] of this.graph.buttons) {
			const names = new Set(this.graph.isOpen(index) ? [this.nodes[index].name] : this.parts[index].keys());
			const ofNode = findings.filter(({ layers }) => layers.some((name) => names.has(name)));
			markFindings(button, ofNode);
		}
	}
}
