// Thousands of discs, blended pixel by pixel: quick on machines without a graphics card, too.
import { resizeCanvas } from "./canvas.js";
import { clamp } from "./scales.js";
import { appearance } from "./theme.js";

const PHASES = 4; // positions between pixels in each direction, so that slow points do not jump

/** The cover of each pixel by a disc, 0…255, once for each position between pixels. */
function discMasks(radius) {
	const reach = Math.ceil(radius) + 1;
	const side = 2 * reach + 1;
	const masks = [];
	for (let phase = 0; phase < PHASES * PHASES; phase++) {
		const [dx, dy] = [(phase % PHASES) / PHASES, Math.floor(phase / PHASES) / PHASES];
		const mask = new Uint8Array(side * side);
		for (let y = 0; y < side; y++) {
			for (let x = 0; x < side; x++) {
				const distance = Math.hypot(x - reach - dx, y - reach - dy);
				mask[y * side + x] = 255 * clamp(radius + 0.5 - distance, 0, 1);
			}
		}
		masks.push(mask);
	}
	return { radius, reach, side, masks };
}

export class ScatterCanvas {
	constructor(canvas) {
		this.canvas = canvas;
		this.context = canvas.getContext("2d");
	}

	resize(width, height) {
		this.ratio = appearance.pixelRatio;
		resizeCanvas(this.canvas, width, height);
		const { width: columns, height: rows } = this.canvas;
		if (this.image?.width === columns && this.image.height === rows) return;
		this.image = this.context.createImageData(columns, rows);
		this.words = new Uint32Array(this.image.data.buffer);
	}

	/** Draws discs at x, y in CSS pixels (NaN: none), with RGB and an opacity of 0…255 each; `isBehind` says which go below. */
	draw(positions, rgb, opacity, radius, background, isBehind) {
		const { width, height, data } = this.image;
		const scaled = radius * this.ratio;
		if (this.discs?.radius !== scaled) this.discs = discMasks(scaled);
		const { reach, side, masks } = this.discs;
		this.words.fill(((255 << 24) | (background[2] << 16) | (background[1] << 8) | background[0]) >>> 0);
		const count = positions.length / 2;
		for (const behind of [true, false]) {
			for (let k = 0; k < count; k++) {
				if (isBehind(k) !== behind) continue;
				const [px, py] = [positions[2 * k] * this.ratio, positions[2 * k + 1] * this.ratio];
				const [left, top] = [Math.floor(px), Math.floor(py)];
				if (!(left >= reach && top >= reach && left < width - reach && top < height - reach)) continue;
				const mask = masks[Math.floor((py - top) * PHASES) * PHASES + Math.floor((px - left) * PHASES)];
				const [red, green, blue, strength] = [rgb[3 * k], rgb[3 * k + 1], rgb[3 * k + 2], opacity[k]];
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
