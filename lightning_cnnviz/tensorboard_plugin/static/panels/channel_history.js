// One channel over time, as a strip of pictures; of several parts the last.
import { channelHistory, isWeight, partsOf } from "../data/channels.js";
import { resizeCanvas } from "../draw/canvas.js";
import { formatInteger } from "../draw/format.js";
import { drawOutline, drawValues, GAP, imageHeight } from "../draw/images.js";
import { clamp } from "../draw/scales.js";
import { appearance, cssVariable } from "../draw/theme.js";
import { widthOf } from "../draw/width.js";
import { History } from "./history.js";

export class ChannelHistory extends History {
	indexAt = (x) => Math.floor(x / (this.side + GAP));

	/** Draws what `shown` names, with the scale that `scaleAt` gives for a step, of a `sample`; `unit` is what a channel is called. */
	draw({ kind, series }, index, channels, unit, { scaleAt, sample }) {
		const { run, clock } = this.view;
		const width = widthOf(this.element, this.view.requestDraw);
		const { steps } = series;
		const side = clamp(Math.floor((width - 2) / steps.length) - GAP, 34, 46);
		const most = Math.max(2, Math.floor((width + GAP) / (side + GAP)));
		const spread = (_, k) => steps[Math.round((k * (steps.length - 1)) / (most - 1))];
		const shown = steps.length <= most ? steps : Array.from({ length: most }, spread);
		const place = isWeight(kind) ? [index] : [sample, index];
		const parts = partsOf(kind);
		const part = parts.at(-1);
		const arrays = [part.values, part.low, part.high];
		const frames = index < channels.count ? run.framesAt(series.partOf({ place, arrays }), shown) : [];
		const current = clock.stepIn(shown);
		const scales = shown.map(scaleAt);
		const key = [
			series.id,
			index,
			sample,
			current,
			width,
			frames.length,
			JSON.stringify(scales),
			appearance.key,
		].join();
		if (key === this.drawn) return;
		Object.assign(this, { drawn: key, shown, side });
		const several = parts.length > 1 ? `: ${part.name} of the batch's loss, each time another batch` : "";
		this.describe(`${unit} ${channels.numbers[index] ?? index} over time${several}`, current);
		const { rows, columns, planes } = channels;
		const zoom = side / Math.max(columns, rows, 1);
		const box = [columns * zoom, imageHeight(rows, zoom)];
		const context = resizeCanvas(this.canvas, Math.max(width, 10), box[1] + 20);
		Object.assign(context, { font: `10px ${cssVariable("font")}`, textAlign: "center" });
		const readable = frames.filter((frame) => !frame.error && frame.arrays[part.values]);
		const history = channelHistory(readable, kind, part);
		for (const [k, step] of shown.entries()) {
			const x = 2 + k * (side + GAP);
			const values = history[readable.findIndex((frame) => frame.step === step)];
			if (values) drawValues(context, values, planes, scales[k], columns, rows, x, 2, ...box);
			drawOutline(context, x, 2, ...box, step === current);
			if (steps.at(-1) < 1e5 || k % 2 === 0) context.fillText(formatInteger(step), x + side / 2, box[1] + 15);
		}
	}
}
