// All samples as a cloud that moves as the network learns.
import { chooser, clamp, h, line, look, options, panel, refill, say, sharp, token, tooltip } from "./dom.js";
import { samples } from "./facts.js";
import { Followed } from "./followed.js";
import { number, percent, round, whole } from "./format.js";
import { layoutAt, trail } from "./motion.js";
import { drawNames } from "./names.js";
import { classColour, css } from "./palettes.js";
import { Scatter } from "./scatter.js";
import { thumbnail } from "./tiles.js";

const HEIGHT = 440;
const PADDING = 26;
const METHODS = { tsne: "t-SNE", pca: "PCA", umap: "UMAP" };
const [MOST_NAMES, MOST_TRAILS] = [20, 40];
const NUMBERS = { knn_accuracy: ["k-NN accuracy", percent], trustworthiness: ["trustworthiness", number], silhouette: ["silhouette", number] };
const AWAY = 36; // opacity of the classes that are not looked at

export class ProjectionPanel {
	constructor(view, state) {
		Object.assign(this, { view, state, hovered: -1, lasso: null });
		this.layer = chooser("Layer of the projection", (plot) => state.set({ plot }));
		this.method = chooser("Method", (method) => state.set({ method }));
		this.numbers = h("span", "aside");
		this.canvas = h("canvas", "points");
		this.overlay = h("canvas", { class: "overlay", tabIndex: 0, role: "img", "aria-label": "projection of all samples",
			onpointerdown: this.press, onpointermove: this.move,
			onpointerup: this.release, onpointerleave: () => this.leave() });
		this.stage = h("div", { class: "stage", style: { height: `${HEIGHT}px` } }, this.canvas, this.overlay);
		this.scatter = new Scatter(this.canvas);
		this.classes = h("div", "classes");
		this.hint = h("p", "hint");
		this.followed = new Followed(view, state);
		this.element = panel("projection", "Projection", [this.layer, this.method, this.numbers],
			this.hint, this.stage, this.classes, this.followed.element);
	}

	get active() {
		return this.view.run.of("projection").length > 0;
	}

	choose(state) {
		const all = this.view.run.of("projection");
		const names = [...new Set(all.map((series) => series.layer))];
		const layer = [state.now.plot, this.view.layer, names.at(-1)].find((name) => names.includes(name));
		const methods = all.filter((series) => series.layer === layer).map((series) => series.method);
		const method = [state.now.method, "tsne", methods[0]].find((name) => methods.includes(name));
		options(this.layer, names.map((name) => [name, name]), layer);
		options(this.method, methods.map((name) => [name, METHODS[name] ?? name]), method);
		return this.view.run.find("projection", layer, { method });
	}

	draw({ clock, state }) {
		const { run } = this.view;
		const series = this.choose(state);
		const known = samples(run);
		const now = layoutAt(run, series, clock.time, known.targets, known.classes.length);
		run.request(series, series.steps); // after what is needed at once
		say(this.hint, now ? now.error : `First recorded at step ${whole(series.steps[0])}.`);
		if (now?.waiting && this.series === series) return;
		Object.assign(this, { series, now: now?.points ? now : null, known, time: clock.time });
		const told = Object.entries(now?.frame?.info.numbers ?? {}).filter(([name, value]) => NUMBERS[name] && value !== null);
		this.numbers.textContent = told.slice(0, 2).map(([name, value]) => `${NUMBERS[name][0]} ${NUMBERS[name][1](value)}`).join(" · ");
		this.drawClasses(state);
		this.drawPoints(state);
		this.followed.draw(clock, state, series, known);
	}

	drawClasses(state) {
		const { classes } = this.known;
		const only = state.now.classes;
		refill(this.classes, JSON.stringify([classes, only.length > 0, look.dark]), () => [
			...classes.map((name, index) => h("button", { class: "chip", title: "Show this class only; with Shift add it",
				onclick: (event) => this.isolate(index, event.shiftKey || event.ctrlKey || event.metaKey) }, this.dot(index), name)),
			only.length ? h("button", { class: "chip plain", onclick: () => state.set({ classes: [] }) }, "show all") : null,
		]);
		classes.forEach((_, index) => {
			this.classes.children[index].setAttribute("aria-pressed", only.includes(index));
			this.classes.children[index].classList.toggle("away", only.length > 0 && !only.includes(index));
		});
	}

	colour = (index) => css(classColour(index, this.known.classes.length));
	dot = (index) => h("i", { class: "dot", style: { background: this.colour(index) } });

	isolate(index, more) {
		const only = this.state.now.classes;
		const others = only.filter((other) => other !== index);
		if (more) this.state.set({ classes: others.length < only.length ? others : [...only, index] });
		else this.state.set({ classes: only.length === 1 && !others.length ? [] : [index] });
	}

	drawPoints(state) {
		const width = this.stage.clientWidth;
		this.scatter.resize(width, HEIGHT);
		const points = this.now?.points ?? [];
		const [left, right, low, high] = this.now?.bounds ?? [0, 1, 0, 1];
		const scale = Math.min((width - 2 * PADDING) / (right - left || 1), (HEIGHT - 2 * PADDING) / (high - low || 1));
		const [x0, y0] = [width / 2 - ((left + right) / 2) * scale, HEIGHT / 2 + ((low + high) / 2) * scale];
		this.toScreen = ([x, y]) => [x0 + x * scale, y0 - y * scale];
		if (this.places?.length !== points.length) this.places = new Float32Array(points.length);
		for (let k = 0; k < points.length; k += 2) {
			this.places[k] = x0 + points[k] * scale;
			this.places[k + 1] = y0 - points[k + 1] * scale;
		}
		const count = points.length / 2;
		this.paint(state, count);
		const radius = clamp(2.1 * Math.sqrt(1500 / Math.max(count, 1)), 1.7, 4);
		this.scatter.draw(this.places, this.colours, this.opacity, radius, token("stage").match(/\d+/g), (k) => this.opacity[k] === AWAY);
		this.drawOver(state, sharp(this.overlay, width, HEIGHT), width, scale);
	}

	/** Colour and opacity of each point: anew only when a choice changed. */
	paint(state, count) {
		const { targets, classes } = this.known;
		const only = state.now.classes;
		const key = [count, targets.length, classes.length, only.join(), look.key].join(";");
		if (key === this.painted) return;
		this.painted = key;
		this.colours = new Uint8Array(3 * count);
		this.opacity = new Uint8Array(count);
		for (let k = 0; k < count; k++) {
			const away = only.length > 0 && !only.includes(targets[k]);
			this.colours.set(away ? [128, 128, 128] : classColour(targets[k], classes.length), 3 * k);
			this.opacity[k] = away ? AWAY : 205;
		}
	}

	/** What lies over the points: trails, names, rings, scale, lasso. */
	drawOver(state, context, width, scale) {
		const { known, now } = this;
		const ring = (k, radius, strokeStyle) => {
			Object.assign(context, { strokeStyle, lineWidth: 2 });
			context.beginPath();
			context.arc(this.places[2 * k], this.places[2 * k + 1], radius, 0, 7);
			context.stroke();
		};
		Object.assign(context, { lineJoin: "round", textAlign: "center", textBaseline: "middle", font: `600 12px ${token("font")}` });
		if (!now?.bounds) {
			context.fillStyle = token("quiet");
			if (now) context.fillText("No finite coordinates at this step", width / 2, HEIGHT / 2);
			return;
		}
		const followed = state.now.followed.filter((k) => k < this.opacity.length);
		for (const k of followed.slice(0, MOST_TRAILS)) {
			const way = [...trail(this.series, k, this.time), now.points.subarray(2 * k, 2 * k + 2)];
			line(context, way.map(this.toScreen), this.colour(known.targets[k]), 1.5);
		}
		const only = state.now.classes;
		const named = now.medians.map((at, index) => at && (!only.length || only.includes(index)) && [known.classes[index].slice(0, 24), ...this.toScreen(at)]);
		if (named.length <= MOST_NAMES) drawNames(context, named.filter(Boolean));
		for (const k of followed) ring(k, 6, token("text"));
		if (this.hovered >= 0) ring(this.hovered, 8, token("accent"));
		if (this.lasso) {
			line(context, [...this.lasso, this.lasso[0]], token("accent"), 1.5);
			context.globalAlpha = 0.12;
			context.fill();
			context.globalAlpha = 1;
		}
		const length = round(110 / scale);
		const [x, y, end] = [14, HEIGHT - 14, 14 + length * scale];
		line(context, [[x, y - 4], [x, y], [end, y], [end, y - 4]], token("quiet"), 1.5);
		Object.assign(context, { font: `11px ${token("font")}`, textAlign: "left" });
		context.fillText(`${number(length)} in ${METHODS[this.series.method] ?? this.series.method} units`, end + 8, y - 2);
		context.textAlign = "right";
		context.fillText(`${whole(this.opacity.length)} samples`, width - 12, y - 2);
	}

	nearest({ offsetX, offsetY }) {
		let [best, far] = [-1, 100];
		for (let k = 0; k < this.opacity.length; k++) {
			const distance = (this.places[2 * k] - offsetX) ** 2 + (this.places[2 * k + 1] - offsetY) ** 2;
			if (distance < far && this.opacity[k] !== AWAY) [best, far] = [k, distance];
		}
		return best;
	}

	press = (event) => {
		if (!this.now) return;
		this.overlay.setPointerCapture(event.pointerId);
		this.lasso = [[event.offsetX, event.offsetY]];
	};

	move = (event) => {
		if (!this.now) return;
		this.lasso?.push([event.offsetX, event.offsetY]);
		this.hovered = this.lasso?.length > 3 ? -1 : this.nearest(event);
		if (this.hovered < 0) tooltip(null);
		else this.tell(event, this.hovered);
		this.view.changed();
	};

	tell(event, k) {
		const { classes, targets } = this.known;
		const [truth, predicted] = [targets[k] ?? -1, this.now.predicted[k] ?? -1];
		const row = (label, index) => h("div", "", h("small", "", label), this.dot(index), classes[index] ?? "unknown");
		const verdict = truth < 0 || predicted < 0 ? "" : truth === predicted ? " · right" : " · wrong";
		tooltip(event, thumbnail(this.known, k, 64), h("div", "", h("b", "", `Sample ${k}${verdict}`), row("true", truth), row("predicted", predicted)));
	}

	/** Ends a lasso, or follows the sample that was clicked. */
	release = (event) => {
		const way = this.lasso;
		this.lasso = null;
		if (!way || !this.now) return;
		const held = this.state.now.followed;
		if (way.some(([x, y]) => Math.hypot(x - way[0][0], y - way[0][1]) > 8)) {
			const path = new Path2D(`M${way.join("L")}Z`);
			const context = h("canvas").getContext("2d");
			const isIn = (k) => context.isPointInPath(path, this.places[2 * k], this.places[2 * k + 1], "evenodd");
			const inside = Array.from(this.opacity.keys()).filter((k) => this.opacity[k] !== AWAY && isIn(k));
			this.state.set({ followed: event.shiftKey ? [...new Set([...held, ...inside])] : inside });
			return;
		}
		const k = this.nearest(event);
		const others = held.filter((other) => other !== k);
		if (k >= 0) this.state.set({ followed: others.length < held.length ? others : [...held, k] });
	};

	leave() {
		this.hovered = -1;
		tooltip(null);
		this.view.changed();
	}
}
