// A picture of all channels of a layer, of which one can be pointed at and one selected, by mouse and by keys.
import { h, tooltip } from "../draw/dom.js";
import { clamp } from "../draw/scales.js";
import { widthOf } from "../draw/width.js";

/** What grids, matrices and bars have in common. Each has `draw(channels, scales, selected, height, info)` and `indexAt(x, y)`. */
export class ChannelPicture {
	constructor(view, keys) {
		Object.assign(this, { view, keys, hovered: -1 });
		this.canvas = h("canvas", {
			tabIndex: 0,
			role: "application",
			onpointermove: (event) => this.hover(event),
			onpointerleave: this.leave,
			onclick: () => this.toggle(),
			onkeydown: this.navigate,
		});
		this.element = h("div", "sheet", this.canvas);
	}

	get width() {
		return widthOf(this.element, this.view.requestDraw) - 2;
	}

	/** How many channels on an arrow key goes. */
	get moves() {
		return { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 };
	}

	/** Whether the picture has to be drawn anew when another channel is pointed at, or it is zoomed. */
	get key() {
		return `${this.width} ${this.hovered}`;
	}

	/** Says what is seen, for those who do not see it. */
	describe(words) {
		this.canvas.setAttribute("aria-label", `${words} ${this.keys}`);
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

	hover = (event) => this.setHovered(this.indexAt(event.offsetX, event.offsetY));

	leave = () => {
		tooltip(null);
		this.setHovered(-1);
	};

	toggle() {
		if (this.hovered < 0) return;
		const { state } = this.view;
		const channel = this.number(this.hovered);
		state.set({ channel: channel === state.values.channel ? undefined : channel });
	}

	navigate = (event) => {
		const by = this.moves[event.key];
		if (!by) return;
		event.preventDefault();
		event.stopPropagation();
		const { state } = this.view;
		const { numbers, count } = this.channels;
		const index = numbers.indexOf(state.values.channel);
		state.set({ channel: numbers[index < 0 ? 0 : clamp(index + by, 0, count - 1)] });
	};
}
