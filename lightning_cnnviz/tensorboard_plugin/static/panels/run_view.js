// Everything about one run; two of them stand side by side when runs are compared.
import { isLive } from "../data/api.js";
import { layersOf } from "../data/selectors.js";
import { h, updateChildren } from "../draw/dom.js";
import { appearance } from "../draw/theme.js";
import { FindingsPanel } from "./findings.js";
import { GradientHeatMap } from "./gradient_heatmap.js";
import { LayerPanel } from "./layer.js";
import { NetworkPanel } from "./network.js";
import { PartitionPanel } from "./partition.js";
import { PatchesPanel } from "./patches.js";
import { ProjectionPanel } from "./projection.js";
import { SaliencyPanel } from "./saliency.js";
import { SampleHistoryPanel } from "./sample_history.js";
import { SummaryPanel } from "./summary.js";

const CALLBACKS = [
	["kernels", "KernelGrid()"],
	["feature_maps", "FeatureMaps()"],
	["projection", "EmbeddingProjection()"],
	["gradients", "GradientFlow()"],
	["activations", "ActivationStats()"],
];

export class RunView {
	/** `requestDraw` asks for a new picture, `seek` sets the time; `runs` are all that are on the page, to be compared. */
	constructor(run, state, clock, requestDraw, seek) {
		Object.assign(this, { run, state, clock, requestDraw, seek, runs: [run] });
		this.summary = new SummaryPanel(this);
		this.findings = new FindingsPanel(this);
		this.network = new NetworkPanel(this);
		const panels = [LayerPanel, ProjectionPanel, GradientHeatMap, SaliencyPanel];
		panels.push(PatchesPanel, PartitionPanel, SampleHistoryPanel);
		this.panels = panels.map((Panel) => new Panel(this));
		this.notes = h("div", "notes");
		this.grid = h("div", "grid");
		this.title = h("h1");
		this.above = h("div");
		this.element = h("article", "view", this.title, this.notes, this.above, this.network.element, this.grid);
		new ResizeObserver(requestDraw).observe(this.element);
	}

	/** The layer that is open: the chosen one, or the first that has pictures. */
	get layer() {
		const { run, state } = this;
		const names = layersOf(run).map(({ name }) => name);
		const chosen = state.values.layer;
		if (names.includes(chosen)) return chosen;
		return (
			names.find((name) => ["kernels", "feature_maps", "weights"].some((kind) => run.findSeries(kind, name))) ??
			names[0]
		);
	}

	/** [run, what `find` finds in it] of this run and those whose pictures have one scale with its own. */
	onScale(find) {
		const runs = this.state.values.scale === "own" ? [this.run] : this.runs;
		return runs.map((run) => [run, find(run)]).filter(([, found]) => found);
	}

	/** The frames that can be read of the series that `find` finds in these runs. */
	framesOnScale(find) {
		const frames = this.onScale(find).flatMap(([run, series]) => run.framesAt(series, series.steps));
		return frames.filter(({ arrays }) => arrays);
	}

	/** Opens the first of some layers that the run has, and changes what else is shown. */
	open(layers, changes = {}) {
		const known = new Set(layersOf(this.run).map(({ name }) => name));
		const layer = layers.find((name) => known.has(name));
		this.state.set(layer === undefined ? changes : { layer, ...changes });
	}

	/** Whether kernels, points or gradients are on the page. */
	get hasPicture() {
		return this.panels.some((panel) => panel.drawn);
	}

	/** What a low window leaves for a panel below the network, at least 300 pixels; otherwise Infinity. */
	get room() {
		if (!appearance.low) return Infinity;
		return Math.max(window.innerHeight - this.grid.getBoundingClientRect().top - window.scrollY - 12, 300);
	}

	draw(compared) {
		this.title.className = compared ? "" : "heard";
		this.title.textContent = this.run.name || ".";
		const active = this.panels.filter((panel) => panel.active);
		updateChildren(this.grid, active.map((panel) => this.panels.indexOf(panel)).join(), () =>
			active.map((panel) => panel.element),
		);
		this.grid.dataset.count = String(active.length);
		this.network.element.hidden = !layersOf(this.run).length;
		const all = [this.summary, this.findings];
		const above = all.filter((panel) => panel.active);
		updateChildren(this.above, above.map((panel) => all.indexOf(panel)).join(), () =>
			above.map((panel) => panel.element),
		);
		const failures = [...above, this.network, ...active].map((panel) => this.drawPanel(panel));
		this.drawNotes(failures);
	}

	/** Draws a panel; what is wrong in its data costs no other panel. Returns what to say of it. */
	drawPanel(panel) {
		try {
			panel.draw();
			return "";
		} catch (error) {
			console.error(error);
			return `${panel.element.querySelector("h2").textContent} cannot be drawn: ${error.message}`;
		}
	}

	drawNotes(failures) {
		const { run } = this;
		const { listing, errors, series } = run;
		const problems = listing?.problems ?? [];
		const has = (kind) => run.seriesOf(kind).length > 0;
		const missing = CALLBACKS.filter(([kind]) => !has(kind) && !(kind === "kernels" && has("weights")));
		const listed = missing.map(([kind, callback]) => `${kind.replace("_", " ")} (add ${callback})`).join(", ");
		const notes = [
			...problems,
			...failures,
			...[...new Set(errors)].slice(0, 3),
			errors.length > 3 && `${errors.length - 3} more steps cannot be read.`,
			listing && !series.size && !problems.length && `The run ${run.name} has no data for this tab any more.`,
			isLive && series.size && missing.length && !run.seriesOf("partition").length && `Not in this run: ${listed}.`,
		].filter(Boolean);
		updateChildren(this.notes, notes.join("\n"), () => notes.map((note) => h("p", "", note)));
	}
}
