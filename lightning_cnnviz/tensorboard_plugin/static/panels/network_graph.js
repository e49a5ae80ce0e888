// The nodes of a network as buttons in a grid, level by level, and the edges between them.
import { h } from "../draw/dom.js";
import { drawEdges, edgePicture } from "../draw/edges.js";

const DENSE = 16; // columns from which on they stand closer

const range = (values) => [Math.min(...values), Math.max(...values)];

export class NetworkGraph {
	/** `graph` as in `graphOf`; `node` makes the button of a node, `toggle` that which folds and unfolds a group. */
	constructor(graph, folded, node, toggle) {
		Object.assign(this, { graph, folded, makeNode: node, makeToggle: toggle, pictures: [] });
		this.buttons = new Map(); // by index of their node
		this.element = h("div", { class: "graph", role: "group", "aria-label": "Layers" }, this.level(null, true));
	}

	/** The columns that can be seen, with those of unfolded groups. */
	columnsOf(group) {
		const { items } = this.graph.levels.get(group);
		const widths = new Map();
		for (const { nodes, column } of items) {
			const inside = this.isOpen(nodes[0]) ? this.columnsOf(nodes[0]) : nodes.length ? 1 : 0;
			widths.set(column, Math.max(widths.get(column) ?? 0, inside));
		}
		return [...widths.values()].reduce((sum, width) => sum + width, 0);
	}

	isOpen(node) {
		return node !== undefined && this.graph.levels.has(node) && !this.folded.has(node);
	}

	level(group, outermost) {
		const { items, edges } = this.graph.levels.get(group);
		const [low, high] = range([...items.map((item) => item.lane), ...edges.map((edge) => edge[2]), 0]);
		const columns = Math.max(0, ...items.map((item) => item.column)) + 1;
		const picture = edgePicture();
		const elements = items.map((item) => this.item(item, low));
		const style = {
			gridTemplateColumns: `repeat(${columns}, auto)`,
			gridTemplateRows: `repeat(${high - low + 1}, minmax(10px, auto))`,
		};
		const dense = outermost && this.columnsOf(group) > DENSE;
		const grid = h("div", { class: dense ? "level dense" : "level", style }, picture, ...elements);
		const ends = edges.map(([source, target, lane]) => [
			this.outOf(elements[source]),
			this.into(elements[target]),
			items[source].column,
			items[target].column,
			lane - low,
		]);
		this.pictures.push([picture, grid, ends]);
		return grid;
	}

	/** Where edges end at an element: an unfolded group hands them on to its own. */
	into = (element) => element.querySelector(":scope > .level > .port") ?? element;
	outOf = (element) => element.querySelector(":scope > .level > .port:last-child") ?? element;

	item({ nodes, column, lane }, low) {
		const style = { gridColumn: String(column + 1), gridRow: String(lane - low + 1) };
		if (!nodes.length) return h("div", { class: "port", style });
		const [first] = nodes;
		if (!this.graph.levels.has(first)) {
			return h(
				"div",
				{ class: "unit", style },
				...nodes.map((index, k) => this.button(index, { shape: k === 0, badges: true })),
			);
		}
		const open = this.isOpen(first);
		const head = h("div", "head", this.makeToggle(first, open), this.button(first, { shape: !open, badges: !open }));
		return h("div", { class: open ? "frame" : "unit stack", style }, head, open ? this.level(first) : null);
	}

	button(index, options) {
		const button = this.makeNode(index, options);
		this.buttons.set(index, button);
		return button;
	}

	/** The button of a node, or that of the folded group that it is in. */
	visible(index) {
		while (index !== null && index !== undefined && !this.buttons.has(index)) index = this.graph.nodes[index]?.parent;
		return this.buttons.get(index);
	}

	drawEdges() {
		for (const picture of this.pictures) drawEdges(...picture);
	}
}
