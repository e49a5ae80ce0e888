// The channels of a layer as a grid of pictures, of which one can be pointed at and one selected.
import { resizeCanvas } from "../draw/canvas.js";
import { h, iconButton } from "../draw/dom.js";
import { drawOutline, drawValues, gridLayout, imageAt } from "../draw/images.js";
import { clamp } from "../draw/scales.js";
import { cssVariable } from "../draw/theme.js";
import { widthOf } from "../draw/width.js";

const HEIGHT = 330;
const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];

export class ChannelGrid {
	constructor(view) {
		Object.assign(this, { view, zoom: 1, hovered: -1 });
		this.canvas = h("canvas", {
			tabIndex: 0,
			role: "img",
			onpointermove: this.hover,
			onpointerleave: () => this.setHovered(-1),
			onclick: () => this.toggle(),
			onkeydown: this.navigate,
		});
		this.element = h("div", "sheet", this.canvas);
		this.zoomButtons = h("span", "zoom", this.zoomButton("−", "Smaller", -1), this.zoomButton("+", "Larger", 1));
	}

	zoomButton(icon, title, by) {
		return iconButton(icon, title, () => {
			this.zoom = ZOOMS[clamp(ZOOMS.indexOf(this.zoom) + by, 0, ZOOMS.length - 1)];
			this.view.requestDraw();
		});
	}

	get width() {
		return widthOf(this.element, this.view.requestDraw) - 2;
	}

	draw(channels, scale, selected, label) {
		const { count, columns, rows, planes } = channels;
		const layout = gridLayout(count, columns, rows, this.width, HEIGHT - 8, this.zoom);
		Object.assign(this, { channels, layout });
		const context = resizeCanvas(this.canvas, Math.max(layout.width + 4, 8), layout.height + 4);
		context.translate(2, 2);
		Object.assign(context, { font: `10px ${cssVariable("font")}`, textAlign: "center" });
		for (let index = 0; index < count; index++) {
			const [x, y] = [(index % layout.across) * layout.stepX, Math.floor(index / layout.across) * layout.stepY];
			const box = [x, y, layout.imageWidth, layout.imageHeight];
			drawValues(context, channels.valuesOf(index), planes, scale, columns, rows, ...box);
			drawOutline(context, ...box, index === this.hovered || index === selected);
			if (layout.labelled) context.fillText(this.number(index), x + layout.imageWidth / 2, y + layout.imageHeight + 11);
		}
		this.canvas.setAttribute("aria-label", label);
	}

	/** The number of a channel in its layer, of which not all may be recorded. */
	number(index) {
		return this.channels.numbers[index] ?? index;
	}

	setHovered(index) {
		if (index === this.hovered) return;
		this.hovered = index;
		this.view.requestDraw();
	}

	hover = (event) => this.setHovered(imageAt(this.layout, this.channels.count, event.offsetX - 2, event.offsetY - 2));

	toggle() {
		if (this.hovered < 0) return;
		const { state } = this.view;
		const channel = this.number(this.hovered);
		state.set({ channel: channel === state.values.channel ? undefined : channel });
	}

	navigate = (event) => {
		const across = this.layout?.across;
		const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
		if (!by) return;
		event.preventDefault();
		event.stopPropagation();
		const { state } = this.view;
		const { numbers, count } = this.channels;
		const index = numbers.indexOf(state.values.channel);
		state.set({ channel: numbers[index < 0 ? 0 : clamp(index + by, 0, count - 1)] });
	};
}
