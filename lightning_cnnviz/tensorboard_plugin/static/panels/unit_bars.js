// The activations of a linear layer, of one sample, as bars: one for each unit.
import { drawLine, resizeCanvas } from "../draw/canvas.js";
import { colourAt, colours, cssColour } from "../draw/colours.js";
import { formatNumber } from "../draw/format.js";
import { missingFills, NOT_FINITE } from "../draw/missing.js";
import { ticks } from "../draw/scales.js";
import { cssVariable } from "../draw/theme.js";
import { ChannelPicture } from "./channel_picture.js";

const [LEFT, TOP, BOTTOM, MAX_BAR] = [48, 8, 22, 28];

export class UnitBars extends ChannelPicture {
	constructor(view) {
		super(view, "Left and right choose a unit.");
	}

	draw(channels, scale, selected, height) {
		const { count } = channels;
		const [low, high] = [Math.min(scale.low, 0), Math.max(scale.high, 0)];
		const step = Math.min((this.width - LEFT - 4) / count, MAX_BAR);
		Object.assign(this, { channels, step });
		const [width, tall] = [step * count, height - TOP - BOTTOM];
		const context = resizeCanvas(this.canvas, LEFT + width + 4, height);
		const y = (value) => TOP + ((high - value) / (high - low || 1)) * tall;
		const font = `10px ${cssVariable("font")}`;
		Object.assign(context, { font, textAlign: "right", textBaseline: "middle" });
		for (const value of ticks(low, high, 4)) {
			const [line, colour] = [[LEFT, LEFT + width].map((x) => [x, y(value)]), value ? "grid" : "rule"];
			drawLine(context, line, cssVariable(colour));
			context.fillStyle = cssVariable("quiet");
			context.fillText(formatNumber(value), LEFT - 6, y(value));
		}
		const colour = colourAt(colours.diverging, 0.85);
		const fills = { positive: cssColour(colour), negative: cssColour(colourAt(colours.diverging, 0.15)) };
		const broken = missingFills(context)[NOT_FINITE];
		const every = Math.ceil(26 / step);
		for (let index = 0; index < count; index++) {
			const [value] = channels.valuesOf(index);
			const [x, bar] = [LEFT + index * step, Math.max(step - 1, step * 0.7)];
			const finite = Number.isFinite(value);
			if (index === selected || index === this.hovered) {
				context.fillStyle = cssVariable("hover");
				context.fillRect(x, TOP, step, tall);
			}
			context.fillStyle = finite ? fills[value < 0 ? "negative" : "positive"] : broken;
			const [top, bottom] = finite ? [y(Math.max(value, 0)), y(Math.min(value, 0))] : [TOP, TOP + tall];
			context.fillRect(x, top, bar, bottom - top);
			const marked = index === selected || index === this.hovered;
			Object.assign(context, { fillStyle: cssVariable(marked ? "accent" : "quiet"), textAlign: "center" });
			if (index % every === 0) context.fillText(this.number(index), x + step / 2, height - 10);
		}
	}

	indexAt = (x) => {
		const index = Math.floor((x - LEFT) / this.step);
		return index >= 0 && index < this.channels.count ? index : -1;
	};
}
