// The channels of a layer as a grid of pictures, of each its parts side by side.
import { resizeCanvas } from "../draw/canvas.js";
import { h, iconButton } from "../draw/dom.js";
import { drawOutline, drawValues, gridLayout, imageAt } from "../draw/images.js";
import { clamp } from "../draw/scales.js";
import { cssVariable } from "../draw/theme.js";
import { ChannelPicture } from "./channel_picture.js";

const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];

export class ChannelGrid extends ChannelPicture {
	constructor(view) {
		super(view, "Arrow keys choose a channel.");
		this.controls = h("span", "zoom", this.zoomButton("−", "Smaller", -1), this.zoomButton("+", "Larger", 1));
	}

	zoomButton(icon, title, by) {
		return iconButton(icon, title, () => {
			this.view.state.set({ zoom: ZOOMS[clamp(ZOOMS.indexOf(this.zoom) + by, 0, ZOOMS.length - 1)] });
		});
	}

	get zoom() {
		const { zoom } = this.view.state.values;
		return ZOOMS.includes(zoom) ? zoom : 1;
	}

	get key() {
		return `${super.key} ${this.zoom}`;
	}

	get moves() {
		const { across } = this.layout;
		return { ...super.moves, ArrowDown: across, ArrowUp: -across };
	}

	draw(channels, scales, selected, height) {
		const { count, columns, rows, planes, parts } = channels;
		const layout = gridLayout(count, columns * parts.length, rows, this.width, height - 8, this.zoom);
		Object.assign(this, { channels, layout });
		const context = resizeCanvas(this.canvas, Math.max(layout.width + 4, 8), layout.height + 4);
		context.translate(2, 2);
		Object.assign(context, { font: `10px ${cssVariable("font")}`, textAlign: "center" });
		for (let index = 0; index < count; index++) {
			const [x, y] = [(index % layout.across) * layout.stepX, Math.floor(index / layout.across) * layout.stepY];
			const width = layout.imageWidth / parts.length;
			for (const [k, part] of parts.entries()) {
				const box = [x + k * width, y, width, layout.imageHeight];
				drawValues(context, part.valuesOf(index), planes, scales[k], columns, rows, ...box);
				drawOutline(context, ...box, false);
			}
			const marked = index === this.hovered || index === selected;
			if (marked) drawOutline(context, x, y, layout.imageWidth, layout.imageHeight, true);
			if (layout.labelled) context.fillText(this.number(index), x + layout.imageWidth / 2, y + layout.imageHeight + 11);
		}
	}

	indexAt = (x, y) => imageAt(this.layout, this.channels.count, x - 2, y - 2);
}
