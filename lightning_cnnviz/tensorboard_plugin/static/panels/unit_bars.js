// The activations of a linear layer, of one sample, as bars: one for each unit; of several parts one below the other.
import { drawLine, resizeCanvas, write } from "../draw/canvas.js";
import { colourAt, colours, cssColour } from "../draw/colours.js";
import { formatNumber } from "../draw/format.js";
import { missingFills, NOT_FINITE } from "../draw/missing.js";
import { clamp, ticks } from "../draw/scales.js";
import { cssVariable } from "../draw/theme.js";
import { ChannelPicture } from "./channel_picture.js";

const [LEFT, TOP, BOTTOM, MAX_BAR, BETWEEN] = [48, 8, 22, 28, 8];

export class UnitBars extends ChannelPicture {
	constructor(view) {
		super(view, "Left and right choose a unit.");
	}

	draw(channels, scales, selected, height) {
		const { count, parts } = channels;
		const step = Math.min((this.width - LEFT - 4) / count, MAX_BAR);
		Object.assign(this, { channels, step });
		const context = resizeCanvas(this.canvas, LEFT + step * count + 4, height);
		const font = `10px ${cssVariable("font")}`;
		Object.assign(context, { font, textBaseline: "middle" });
		const marked = [selected, this.hovered].filter((index) => index >= 0);
		context.fillStyle = cssVariable("hover");
		for (const index of marked) context.fillRect(LEFT + index * step, TOP, step, height - TOP - BOTTOM);
		const tall = (height - TOP - BOTTOM - BETWEEN * (parts.length - 1)) / parts.length;
		for (const [k, part] of parts.entries()) this.drawPart(context, part, scales[k], TOP + k * (tall + BETWEEN), tall);
		const every = Math.ceil(26 / step);
		for (let index = 0; index < count; index += every) {
			const colour = marked.includes(index) ? "accent" : "quiet";
			write(context, this.number(index), LEFT + (index + 0.5) * step, height - 10, "center", colour);
		}
	}

	/** Draws the bars of a part, and its axis, from `top` on. */
	drawPart(context, { valuesOf }, scale, top, tall) {
		const { step } = this;
		const { count } = this.channels;
		const [low, high] = [Math.min(scale.low, 0), Math.max(scale.high, 0)];
		const y = (value) => top + ((high - value) / (high - low || 1)) * tall;
		for (const value of ticks(low, high, clamp(Math.floor(tall / 16), 1, 4))) {
			const [line, colour] = [[LEFT, LEFT + step * count].map((x) => [x, y(value)]), value ? "grid" : "rule"];
			drawLine(context, line, cssVariable(colour));
			write(context, formatNumber(value), LEFT - 6, y(value), "right");
		}
		const colour = colourAt(colours.diverging, 0.85);
		const fills = { positive: cssColour(colour), negative: cssColour(colourAt(colours.diverging, 0.15)) };
		const broken = missingFills(context)[NOT_FINITE];
		for (let index = 0; index < count; index++) {
			const [value] = valuesOf(index);
			const [x, bar] = [LEFT + index * step, Math.max(step - 1, step * 0.7)];
			const finite = Number.isFinite(value);
			context.fillStyle = finite ? fills[value < 0 ? "negative" : "positive"] : broken;
			const [upper, lower] = finite ? [y(Math.max(value, 0)), y(Math.min(value, 0))] : [top, top + tall];
			context.fillRect(x, upper, bar, lower - upper);
		}
	}

	indexAt = (x) => {
		const index = Math.floor((x - LEFT) / this.step);
		return index >= 0 && index < this.channels.count ? index : -1;
	};
}
