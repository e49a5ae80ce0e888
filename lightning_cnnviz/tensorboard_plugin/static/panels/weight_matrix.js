// The weights of a linear layer as a matrix: a row for each unit, a column for each input.
import { resizeCanvas, write } from "../draw/canvas.js";
import { h, tooltip } from "../draw/dom.js";
import { formatNumber } from "../draw/format.js";
import { drawOutline, drawValues } from "../draw/images.js";
import { clamp } from "../draw/scales.js";
import { cssVariable } from "../draw/theme.js";
import { ChannelPicture } from "./channel_picture.js";

const [LEFT, TOP, MAX_CELL] = [34, 16, 28];

export class WeightMatrix extends ChannelPicture {
	constructor(view) {
		super(view, "Up and down choose a unit.");
	}

	draw(channels, [scale], selected, height, { block = [1, 1], shape = [] }) {
		const { count, columns, values } = channels;
		const width = Math.min(this.width - LEFT - 4, columns * MAX_CELL);
		const tall = Math.min(height - TOP - 8, count * MAX_CELL);
		Object.assign(this, { channels, block, shape, cell: [width / columns, tall / count] });
		const context = resizeCanvas(this.canvas, Math.max(width + LEFT + 4, 8), tall + TOP + 4);
		context.translate(LEFT, TOP);
		drawValues(context, values, 1, scale, columns, count, 0, 0, width, tall);
		drawOutline(context, 0, 0, width, tall, false);
		for (const row of [selected, this.hovered])
			if (row >= 0) drawOutline(context, 0, row * this.cell[1], width, this.cell[1], true);
		context.font = `10px ${cssVariable("font")}`;
		write(context, `${shape[1] ?? columns} inputs →`, 0, -5, "left");
		context.textBaseline = "middle";
		const every = Math.ceil(14 / this.cell[1]);
		for (let row = 0; row < count; row += every)
			write(context, this.number(row), -5, (row + 0.5) * this.cell[1], "right");
	}

	indexAt = (x, y) => {
		const [column, row] = [Math.floor((x - LEFT) / this.cell[0]), Math.floor((y - TOP) / this.cell[1])];
		const { count, columns } = this.channels;
		return column >= 0 && column < columns && row >= 0 && row < count ? row : -1;
	};

	hover = (event) => {
		const row = this.indexAt(event.offsetX, event.offsetY);
		this.setHovered(row);
		if (row < 0) return tooltip(null);
		const column = clamp(Math.floor((event.offsetX - LEFT) / this.cell[0]), 0, this.channels.columns - 1);
		const part = (name, index, size, total = Infinity) => {
			const [first, last] = [index * size, Math.min((index + 1) * size, total) - 1];
			return last > first ? `${name}s ${first}–${last}` : `${name} ${first}`;
		};
		const [down, across] = this.block;
		const words = `${part("unit", row, down, this.shape[0])}, ${part("input", column, across, this.shape[1])}`;
		const value = formatNumber(this.channels.parts[0].valuesOf(row)[column]);
		return tooltip(
			event,
			h("div", "", h("b", "", words), h("div", "", `${down * across > 1 ? "mean " : ""}weight ${value}`)),
		);
	};
}
