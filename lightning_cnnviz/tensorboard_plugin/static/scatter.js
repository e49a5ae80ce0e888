// Thousands of discs, blended pixel by pixel: quick on machines without a graphics card, too.
import { look, sharp } from "./dom.js";

const PHASES = 4; // positions between pixels in each direction, so that slow points do not jump

function masks(radius) {
	const reach = Math.ceil(radius) + 1;
	const side = 2 * reach + 1;
	const made = [];
	for (let phase = 0; phase < PHASES * PHASES; phase++) {
		const [dx, dy] = [(phase % PHASES) / PHASES, Math.floor(phase / PHASES) / PHASES];
		const mask = new Uint8Array(side * side);
		for (let y = 0; y < side; y++) {
			for (let x = 0; x < side; x++) {
				const far = Math.hypot(x - reach - dx, y - reach - dy);
				mask[y * side + x] = 255 * Math.min(Math.max(radius + 0.5 - far, 0), 1);
			}
		}
		made.push(mask);
	}
	return { reach, side, made };
}

export class Scatter {
	constructor(canvas) {
		this.canvas = canvas;
		this.context = canvas.getContext("2d");
	}

	resize(width, height) {
		this.ratio = look.ratio;
		sharp(this.canvas, width, height);
		const { width: wide, height: high } = this.canvas;
		if (this.image?.width === wide && this.image.height === high) return;
		this.image = this.context.createImageData(wide, high);
		this.whole = new Uint32Array(this.image.data.buffer);
	}

	/** Draws discs at x, y in CSS pixels (NaN: none), with RGB and an opacity of 0…255 each; `isBack` says which go below. */
	draw(places, colours, opacity, radius, background, isBack) {
		const { width, height, data } = this.image;
		const size = radius * this.ratio;
		if (this.size !== size) Object.assign(this, { size, sprites: masks(size) });
		const { reach, side, made } = this.sprites;
		this.whole.fill(((255 << 24) | (background[2] << 16) | (background[1] << 8) | background[0]) >>> 0);
		const count = places.length / 2;
		for (const back of [true, false]) {
			for (let k = 0; k < count; k++) {
				if (isBack(k) !== back) continue;
				const [px, py] = [places[2 * k] * this.ratio, places[2 * k + 1] * this.ratio];
				const [left, top] = [Math.floor(px), Math.floor(py)];
				if (!(left >= reach && top >= reach && left < width - reach && top < height - reach)) continue;
				const mask = made[Math.floor((py - top) * PHASES) * PHASES + Math.floor((px - left) * PHASES)];
				const [red, green, blue, strength] = [colours[3 * k], colours[3 * k + 1], colours[3 * k + 2], opacity[k]];
				for (let y = 0; y < side; y++) {
					let at = 4 * ((top - reach + y) * width + left - reach);
					for (let x = 0; x < side; x++, at += 4) {
						const cover = mask[y * side + x];
						if (!cover) continue;
						const alpha = (cover * strength) / 65025;
						data[at] += (red - data[at]) * alpha;
						data[at + 1] += (green - data[at + 1]) * alpha;
						data[at + 2] += (blue - data[at + 2]) * alpha;
					}
				}
			}
		}
		this.context.putImageData(this.image, 0, 0);
	}
}
