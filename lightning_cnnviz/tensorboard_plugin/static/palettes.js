// The colours of the package's pictures (lightning_cnnviz/functional/image.py): matplotlib's maps at 33 places.
import { clamp, look } from "./dom.js";

const bytes = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));

/** RGB of a share between 0 and 1, in a table of equally spaced colours. */
function between(table, share) {
	const place = clamp(share, 0, 1) * (table.length / 3 - 1);
	const low = Math.min(Math.floor(place), table.length / 3 - 2);
	return [0, 1, 2].map((k) => table[3 * low + k] + (table[3 * low + 3 + k] - table[3 * low + k]) * (place - low));
}

/** 255 colours of a map, as RGB one after the other. */
function map(text) {
	const table = bytes(text);
	return Uint8Array.from(Array.from({ length: 255 }, (_, k) => between(table, k / 254).map(Math.round)).flat());
}

/** viridis. */
export const SEQUENTIAL = map(
	"440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e21918c1f988b1fa08822a78528ae8032b67a3fbc734ec36b5ec96270cf5784d44b98d83eaddc30c2df23d8e219ece51bfde725",
);
/** RdBu_r; the middle one, zero, has no hue. */
export const DIVERGING = map(
	"0530610e41791752901f63a82a71b23480b93f8ec0529dc86bacd184bcd99bc9e0aed3e6c2ddecd4e6f1e0ecf3ecf2f5f7f7f7f9eee7fbe5d8fddcc9fbccb4f8bb9ef5aa89ee9677e48066db6b55d05548c53e3dba2832ab162a930e267c072267001f",
);
/** What is NaN or infinite looks like nothing else. */
export const NON_FINITE = [255, 0, 255];

/** Ten classes that colour-blind readers tell apart: https://arxiv.org/abs/2107.02270 */
const CLASSES = bytes("3f90daffa90ebd1f0194a4a2832db6a96b59e76300b9ac7071758192dadd");
/** turbo, for more classes than that. */
const RAINBOW = bytes(
	"38276d4451bf4778f03d9efe23c3e418e0bd35f3946dfe62a4fc3ccbed34ebd339fcb336fd8a26f15d13dc3b07bc2002920b01",
);

/** RGB of class `index` among `count`; grey where the class is not known. On dark pages a little lighter. */
export function classColour(index, count) {
	if (!(index >= 0 && index < count)) return [119, 119, 119];
	const colour = count > 10 ? between(RAINBOW, index / (count - 1)) : [...CLASSES.subarray(3 * index, 3 * index + 3)];
	return look.dark ? colour.map((value) => value + (255 - value) * 0.2) : colour;
}

export const css = ([r, g, b]) => `rgb(${Math.round(r)} ${Math.round(g)} ${Math.round(b)})`;

/** Colour of a share between 0 and 1 in one of the maps above. */
export function colourAt(table, share) {
	if (!Number.isFinite(share)) return NON_FINITE;
	const at = 3 * Math.round(clamp(share, 0, 1) * 254);
	return [table[at], table[at + 1], table[at + 2]];
}

/** A CSS gradient through a map, for legends. */
export function ramp(table) {
	return `linear-gradient(to right, ${Array.from({ length: 13 }, (_, k) => css(colourAt(table, k / 12))).join()})`;
}
