// Everything about one run; two of them stand side by side when runs are compared.
import { h } from "./dom.js";
import { layers } from "./facts.js";
import { HeatMap } from "./heatmap.js";
import { LayerPanel } from "./layer.js";
import { PartitionPanel } from "./partition.js";
import { ProjectionPanel } from "./projection.js";
import { Strip } from "./strip.js";

const CALLBACKS = [
	["kernels", "KernelGrid()"],
	["feature_maps", "FeatureMaps()"],
	["projection", "EmbeddingProjection()"],
	["gradients", "GradientFlow()"],
];

export class View {
	/** `changed` asks for a new picture, `seek` sets the time. */
	constructor(run, state, clock, changed, seek) {
		Object.assign(this, { run, state, clock, changed, seek });
		this.strip = new Strip(this);
		this.panels = [new LayerPanel(this, state, clock), new ProjectionPanel(this, state), new HeatMap(this, state), new PartitionPanel(this, state)];
		this.notes = h("div", "notes");
		this.grid = h("div", "grid");
		this.title = h("h1");
		this.element = h("article", "view", this.title, this.notes, this.strip.element, this.grid);
		new ResizeObserver(changed).observe(this.element);
	}

	/** The layer that is open: the chosen one, or the first that has pictures. */
	get layer() {
		const all = layers(this.run).map(({ name }) => name);
		const chosen = this.state.now.layer;
		if (all.includes(chosen)) return chosen;
		return all.find((name) => this.run.find("kernels", name) ?? this.run.find("feature_maps", name)) ?? all[0];
	}

	/** Whether kernels, points or gradients are on the page. */
	get pictured() {
		return this.panels.some((panel) => panel.drawn ?? panel.now);
	}

	draw(compared) {
		this.title.hidden = !compared;
		this.title.textContent = this.run.name || ".";
		const active = this.panels.filter((panel) => panel.active);
		const shown = active.map((panel) => panel.element);
		if (shown.length !== this.grid.children.length || shown.some((element, k) => element !== this.grid.children[k])) {
			this.grid.replaceChildren(...shown);
		}
		this.grid.dataset.count = String(shown.length);
		this.strip.element.hidden = !layers(this.run).length;
		this.drawNotes();
		for (const part of [this.strip, ...active]) part.draw(this);
	}

	drawNotes() {
		const { run } = this;
		const lacking = CALLBACKS.filter(([kind]) => !run.of(kind).length);
		const notes = [
			...run.problems,
			...[...new Set(run.failed.values())].slice(0, 3),
			run.failed.size > 3 ? `${run.failed.size - 3} more steps cannot be read.` : null,
			run.known && !run.series.size && !run.problems.length ? `The run ${run.name} has no data for this tab any more.` : null,
			run.series.size && lacking.length && !run.of("partition").length
				? `Not in this run: ${lacking.map(([kind, callback]) => `${kind.replace("_", " ")} (add ${callback})`).join(", ")}.` : null,
		].filter(Boolean);
		const key = notes.join("\n");
		if (key === this.noted) return;
		this.noted = key;
		this.notes.replaceChildren(...notes.map((note) => h("p", "", note)));
	}
}
