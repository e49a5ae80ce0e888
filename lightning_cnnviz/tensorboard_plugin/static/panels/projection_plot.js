// The points of a projection, what lies over them, and how samples are pointed at, clicked and lassoed.
import { trajectory } from "../data/interpolation.js";
import { drawLine, resizeCanvas, write } from "../draw/canvas.js";
import { classColour, cssClassColour } from "../draw/colours.js";
import { dot, h, tooltip } from "../draw/dom.js";
import { formatInteger, formatNumber, lettersOf } from "../draw/format.js";
import { thumbnail } from "../draw/images.js";
import { drawLabels } from "../draw/labels.js";
import { clamp, niceFloor } from "../draw/scales.js";
import { ScatterCanvas } from "../draw/scatter.js";
import { appearance, cssVariable } from "../draw/theme.js";
import { widthOf } from "../draw/width.js";

const [MAX_HEIGHT, AROUND] = [440, 172]; // of the plot, and of what is above and below it
const PADDING = 26;
const [MAX_LABELS, MAX_LETTERS] = [20, 24];
const [OPACITY, DIMMED] = [205, 36]; // of the classes that are looked at, and of the others

export class ProjectionPlot {
	constructor(view) {
		Object.assign(this, { view, hovered: -1, lasso: null });
		this.canvas = h("canvas", { class: "points", "aria-hidden": "true" });
		this.overlay = h("canvas", {
			class: "overlay",
			tabIndex: 0,
			role: "application",
			"aria-label": "Projection of all samples. Arrow keys go from sample to sample, Enter follows one.",
			onkeydown: this.navigate,
			onblur: () => this.leave(),
			onpointerdown: this.press,
			onpointermove: this.move,
			onpointerup: this.release,
			onpointerleave: this.leave,
		});
		this.element = h("div", "stage", this.canvas, this.overlay);
		this.scatter = new ScatterCanvas(this.canvas);
	}

	/**
	 * Draws a projection at a time as `projectionAt` gives it, or nothing for null; `past` is the series of the samples
	 * that are followed, `unit` the name of the method.
	 */
	draw(projection, time, past, samples, unit) {
		Object.assign(this, { projection, time, past, samples });
		const width = widthOf(this.element, this.view.requestDraw);
		const height = Math.min(MAX_HEIGHT, Math.max(this.view.room - AROUND, 150));
		if (height !== this.height) this.element.style.height = `${height}px`;
		this.height = height;
		this.scatter.resize(width, height);
		const points = projection?.points ?? [];
		const [left, right, low, high] = projection?.bounds ?? [0, 1, 0, 1];
		const scale = Math.min((width - 2 * PADDING) / (right - left || 1), (height - 2 * PADDING) / (high - low || 1));
		const [x0, y0] = [width / 2 - ((left + right) / 2) * scale, height / 2 + ((low + high) / 2) * scale];
		this.toScreen = ([x, y]) => [x0 + x * scale, y0 - y * scale];
		if (this.positions?.length !== points.length) this.positions = new Float32Array(points.length);
		for (let k = 0; k < points.length; k += 2) {
			this.positions[k] = x0 + points[k] * scale;
			this.positions[k + 1] = y0 - points[k + 1] * scale;
		}
		const count = points.length / 2;
		this.updateColours(count);
		const radius = clamp(2.1 * Math.sqrt(1500 / Math.max(count, 1)), 1.7, 4);
		const background = getComputedStyle(this.element).backgroundColor.match(/\d+/g);
		this.scatter.draw(this.positions, this.rgb, this.opacity, radius, background, (k) => this.opacity[k] === DIMMED);
		this.drawOverlay(resizeCanvas(this.overlay, width, height), width, scale, unit);
	}

	/** Colour and opacity of each point: anew only when a choice changed. */
	updateColours(count) {
		const { targets, classes } = this.samples;
		const isolated = this.view.state.values.classes;
		const key = [count, targets.length, classes.length, isolated.join(), appearance.key].join(";");
		if (key === this.coloured) return;
		this.coloured = key;
		this.rgb = new Uint8Array(3 * count);
		this.opacity = new Uint8Array(count);
		for (let k = 0; k < count; k++) {
			const dimmed = isolated.length > 0 && !isolated.includes(targets[k]);
			this.rgb.set(dimmed ? [128, 128, 128] : classColour(targets[k], classes.length), 3 * k);
			this.opacity[k] = dimmed ? DIMMED : OPACITY;
		}
	}

	/** What lies over the points: trajectories, labels, rings, lasso, scale bar. */
	drawOverlay(context, width, scale, unit) {
		const { samples, projection } = this;
		const { values } = this.view.state;
		Object.assign(context, {
			lineJoin: "round",
			textAlign: "center",
			textBaseline: "middle",
			font: `600 12px ${cssVariable("font")}`,
		});
		if (!projection?.bounds) {
			if (projection) write(context, "No finite coordinates at this step", width / 2, this.height / 2, "center");
			return;
		}
		const count = this.opacity.length;
		const followed = values.followed.filter((k) => k < count);
		for (const k of this.past.part.rows) {
			const path = [...trajectory(this.past, k, this.time), projection.points.subarray(2 * k, 2 * k + 2)];
			drawLine(context, path.map(this.toScreen), cssClassColour(samples.targets[k], samples.classes.length), 1.5);
		}
		const isShown = (index) => !values.classes.length || values.classes.includes(index);
		const nameOf = (index) => lettersOf(samples.classes[index]).slice(0, MAX_LETTERS).join("");
		const medians = projection.medians.length <= MAX_LABELS ? projection.medians : [];
		const labels = medians.map(
			(median, index) => median && isShown(index) && [nameOf(index), ...this.toScreen(median)],
		);
		drawLabels(context, labels.filter(Boolean));
		for (const k of followed) this.drawRing(context, k, 6, "text");
		if (this.hovered >= 0) this.drawRing(context, this.hovered, 8, "accent");
		if (this.lasso) {
			drawLine(context, [...this.lasso, this.lasso[0]], cssVariable("accent"), 1.5);
			context.globalAlpha = 0.12;
			context.fill();
			context.globalAlpha = 1;
		}
		const length = niceFloor(110 / scale);
		const [x, y, end] = [14, this.height - 14, 14 + length * scale];
		const bracket = [
			[x, y - 4],
			[x, y],
			[end, y],
			[end, y - 4],
		];
		drawLine(context, bracket, cssVariable("quiet"), 1.5);
		context.font = `11px ${cssVariable("font")}`;
		write(context, `${formatNumber(length)} in ${unit} units`, end + 8, y - 2, "left");
		write(context, `${formatInteger(count)} samples`, width - 12, y - 2, "right");
	}

	drawRing(context, k, radius, colour) {
		Object.assign(context, { strokeStyle: cssVariable(colour), lineWidth: 2 });
		context.beginPath();
		context.arc(this.positions[2 * k], this.positions[2 * k + 1], radius, 0, 7);
		context.stroke();
	}

	/** The sample nearest to the pointer, or −1. */
	sampleAt({ offsetX, offsetY }) {
		let [nearest, least] = [-1, 100];
		for (let k = 0; k < this.opacity.length; k++) {
			const distance = (this.positions[2 * k] - offsetX) ** 2 + (this.positions[2 * k + 1] - offsetY) ** 2;
			if (distance < least && this.opacity[k] !== DIMMED) [nearest, least] = [k, distance];
		}
		return nearest;
	}

	press = (event) => {
		if (!this.projection) return;
		this.overlay.setPointerCapture(event.pointerId);
		this.lasso = [[event.offsetX, event.offsetY]];
	};

	move = (event) => {
		if (!this.projection) return;
		this.lasso?.push([event.offsetX, event.offsetY]);
		this.hovered = this.lasso?.length > 3 ? -1 : this.sampleAt(event);
		if (this.hovered < 0) tooltip(null);
		else this.showTooltip(event, this.hovered);
		this.view.requestDraw();
	};

	leave = () => {
		this.hovered = -1;
		tooltip(null);
		this.view.requestDraw();
	};

	/** The sample nearest to another one, or to the middle, in a direction; −1 where there is none. */
	nextSample(from, [right, down]) {
		const { positions } = this;
		const [x0, y0] =
			from < 0 ? [this.element.clientWidth / 2, this.height / 2] : positions.subarray(2 * from, 2 * from + 2);
		let [nearest, least] = [-1, Infinity];
		for (let k = 0; k < this.opacity.length; k++) {
			const [dx, dy] = [positions[2 * k] - x0, positions[2 * k + 1] - y0];
			const [along, aside] = [dx * right + dy * down, Math.abs(dx * down) + Math.abs(dy * right)];
			const ahead = from < 0 || (along > 0 && aside <= along && k !== from);
			const distance = Math.hypot(dx, dy);
			if (ahead && distance < least && this.opacity[k] !== DIMMED) [nearest, least] = [k, distance];
		}
		return nearest;
	}

	navigate = (event) => {
		if (!this.projection?.bounds) return;
		const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
		const { state, requestDraw } = this.view;
		if (way) {
			const next = this.nextSample(this.hovered, way);
			if (next >= 0) this.hovered = next;
			const { x, y } = this.overlay.getBoundingClientRect();
			const [left, top] = this.positions.subarray(2 * this.hovered, 2 * this.hovered + 2);
			this.showTooltip({ clientX: x + left, clientY: y + top }, this.hovered);
			requestDraw();
		} else if (event.key === "Enter" && this.hovered >= 0) state.toggle("followed", this.hovered);
		else return;
		event.preventDefault();
		event.stopPropagation();
	};

	showTooltip(event, k) {
		const { classes, targets } = this.samples;
		const [truth, predicted] = [targets[k] ?? -1, this.projection.predicted[k] ?? -1];
		const row = (label, index) =>
			h("div", "", h("small", "", label), dot(cssClassColour(index, classes.length)), classes[index] ?? "unknown");
		const verdict = truth < 0 || predicted < 0 ? "" : truth === predicted ? " · right" : " · wrong";
		const words = h("div", "", h("b", "", `Sample ${k}${verdict}`), row("true", truth), row("predicted", predicted));
		tooltip(event, thumbnail(this.samples, k, 64), words);
	}

	/** Ends a lasso, or follows the sample that was clicked. */
	release = (event) => {
		const path = this.lasso;
		this.lasso = null;
		if (!path || !this.projection) return;
		const { state } = this.view;
		if (path.some(([x, y]) => Math.hypot(x - path[0][0], y - path[0][1]) > 8)) {
			const inside = this.samplesInside(path);
			state.set({ followed: event.shiftKey ? [...new Set([...state.values.followed, ...inside])] : inside });
			return;
		}
		const k = this.sampleAt(event);
		if (k >= 0) state.toggle("followed", k);
	};

	samplesInside(path) {
		const area = new Path2D(`M${path.join("L")}Z`);
		const context = h("canvas").getContext("2d");
		const isInside = (k) => context.isPointInPath(area, this.positions[2 * k], this.positions[2 * k + 1], "evenodd");
		return Array.from(this.opacity.keys()).filter((k) => this.opacity[k] !== DIMMED && isInside(k));
	}
}
