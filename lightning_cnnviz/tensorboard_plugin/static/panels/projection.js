// All samples as a cloud that moves as the network learns.
import { commonBounds, projectionAt, union } from "../data/interpolation.js";
import { projectionOf, samplesOf } from "../data/selectors.js";
import { cssClassColour } from "../draw/colours.js";
import {
	dot,
	dropdown,
	h,
	panel,
	setAttribute,
	setOptions,
	setText,
	showMessage,
	updateChildren,
} from "../draw/dom.js";
import { firstRecorded, formatInteger, formatNumber, formatPercent, frameInWords } from "../draw/format.js";
import { appearance } from "../draw/theme.js";
import { FollowedSamples } from "./followed_samples.js";
import { ProjectionPlot } from "./projection_plot.js";

const METHODS = { tsne: "t-SNE", pca: "PCA", umap: "UMAP" };
const withoutLone = (count) => (count ? ` without ${count} class${count > 1 ? "es" : ""} of one sample` : "");
const MEASURES = {
	knn_accuracy: (value, numbers) =>
		`${numbers.knn_neighbours ?? "k"}-NN accuracy ${formatPercent(value)}${withoutLone(numbers.knn_left_out)}`,
	trustworthiness: (value) => `trustworthiness ${formatNumber(value)}`,
	silhouette: (value) => `silhouette ${formatNumber(value)}`,
};

const MAX_FOLLOWED = 40; // of which the whole past is fetched

const methodName = (method) => METHODS[method] ?? method;

export class ProjectionPanel {
	constructor(view) {
		this.view = view;
		this.layer = dropdown("Layer of the projection", (plot) => view.state.set({ plot }));
		this.method = dropdown("Method", (method) => view.state.set({ method }));
		this.measures = h("span", "aside");
		this.hint = h("p", "hint");
		this.plot = new ProjectionPlot(view);
		this.classes = h("div", "classes");
		this.which = h("p", "which");
		this.plot.element.append(this.which);
		this.followed = new FollowedSamples(view);
		this.element = panel(
			"projection",
			"Projection",
			[this.layer, this.method, this.measures],
			this.hint,
			this.plot.element,
			this.classes,
			this.followed.element,
		);
	}

	get active() {
		return this.view.run.seriesOf("projection").length > 0;
	}

	/** The series of the chosen layer and method, as far as there is one. */
	chooseSeries() {
		const { run, layer: open, state } = this.view;
		const all = run.seriesOf("projection");
		const names = [...new Set(all.map((series) => series.layer))];
		const layer = [state.values.plot, projectionOf(run, open)?.layer, names.at(-1)].find((name) =>
			names.includes(name),
		);
		const methods = all.filter((series) => series.layer === layer).map((series) => series.method);
		const method = [state.values.method, "tsne", methods[0]].find((name) => methods.includes(name));
		setOptions(this.layer, names, layer);
		setOptions(this.method, methods, method, methodName);
		return run.findSeries("projection", layer, method);
	}

	draw() {
		const { run, clock, state } = this.view;
		const series = this.chooseSeries();
		const samples = samplesOf(run);
		const time = clock.timeIn(series.steps);
		let projection = projectionAt(run, series, time, samples);
		if (clock.playing) run.prefetch(series, clock.stepIn(series.steps));
		showMessage(this.hint, projection ? projection.error : firstRecorded(series.steps));
		if (projection?.waiting && this.series === series) return;
		this.series = series;
		if (projection?.bounds && state.values.scale !== "own") {
			const all = this.view.onScale((each) => each.findSeries("projection", series.layer, series.method));
			projection = { ...projection, bounds: all.map((each) => commonBounds(...each)).reduce(union) };
		}
		this.drawn = Boolean(projection?.points);
		const numbers = projection?.frame?.info.numbers ?? {};
		const measured = Object.entries(numbers).filter(([name, value]) => MEASURES[name] && value !== null);
		const written = measured.slice(0, 2).map(([name, value]) => MEASURES[name](value, numbers));
		if (projection?.frame?.info.origin === "anew") written.push("begun anew");
		setText(this.measures, written.join(" · "));
		this.drawClasses(samples.classes);
		const count = (projection?.points?.length ?? 0) / 2;
		const rows = state.values.followed.filter((k) => k >= 0 && k < count).slice(0, MAX_FOLLOWED);
		const past = series.partOf({ rows, arrays: ["points", "predicted"] });
		if (rows.length) run.framesAt(past, series.steps);
		this.plot.draw(this.drawn ? projection : null, time, past, samples, methodName(series.method));
		setText(this.which, this.drawn ? this.frameInWords(projection) : "");
		this.followed.draw(past, samples);
	}

	/** Of which step the points are, and with them the numbers and the predictions. */
	frameInWords({ frame, next }) {
		if (!next) return frameInWords(frame.step, this.view.clock.step);
		const [own, to] = [frame, next].map((one) => formatInteger(one.step));
		return `Between steps ${own} and ${to}; numbers and predictions of step ${own}`;
	}

	drawClasses(classes) {
		const { state } = this.view;
		const isolated = state.values.classes;
		updateChildren(this.classes, JSON.stringify([classes, isolated.length > 0, appearance.dark]), () => [
			...classes.map((name, index) =>
				h(
					"button",
					{
						class: "chip",
						title: `${name}: show this class only; with Shift add it`,
						onclick: (event) => this.isolate(index, event.shiftKey || event.ctrlKey || event.metaKey),
					},
					dot(cssClassColour(index, classes.length)),
					name,
				),
			),
			isolated.length
				? h("button", { class: "chip plain", onclick: () => state.set({ classes: [] }) }, "show all")
				: null,
		]);
		for (const index of classes.keys()) {
			const chip = this.classes.children[index];
			setAttribute(chip, "aria-pressed", isolated.includes(index));
			chip.classList.toggle("dimmed", isolated.length > 0 && !isolated.includes(index));
		}
	}

	/** Shows one class only, or all where it already was the only one; `add` leaves the others as they are. */
	isolate(index, add) {
		const { state } = this.view;
		const isolated = state.values.classes;
		if (add) state.toggle("classes", index);
		else state.set({ classes: isolated.length === 1 && isolated[0] === index ? [] : [index] });
	}
}
