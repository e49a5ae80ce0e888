// Cells of a chart without a number. Each kind has a pattern of its own, so that it is known without its colour, too.
import { colours, cssColour } from "./colours.js";
import { h } from "./dom.js";
import { cssVariable } from "./theme.js";

export const [NOT_MEASURED, NO_GRADIENT, NOT_FINITE] = ["not measured", "no gradient", "not finite"];
const SIDE = 8; // pixels of a tile

/** The colours of the ground and of the lines of a tile, and the lines. */
const looks = () => ({
	[NOT_MEASURED]: [cssVariable("card"), cssVariable("quiet"), "M-1 1 1-1M0 8 8 0M7 9 9 7"],
	[NO_GRADIENT]: [cssVariable("none"), "", ""],
	[NOT_FINITE]: [cssColour(colours.non_finite), "#111", "M1 1 7 7M1 7 7 1"],
});

function drawTile(kind) {
	const [ground, ink, lines] = looks()[kind];
	const tile = h("canvas", { width: SIDE, height: SIDE });
	const context = tile.getContext("2d");
	context.fillStyle = ground;
	context.fillRect(0, 0, SIDE, SIDE);
	context.strokeStyle = ink;
	context.stroke(new Path2D(lines));
	return tile;
}

/** Kind → what to fill its cells with on a canvas. */
export const missingFills = (context) =>
	Object.fromEntries(Object.keys(looks()).map((kind) => [kind, context.createPattern(drawTile(kind), "repeat")]));

/** The entries of a legend for some kinds. */
export const missingLegend = (kinds) =>
	kinds.flatMap((kind) => [
		h("i", { class: "patch", style: { backgroundImage: `url(${drawTile(kind).toDataURL()})` } }),
		h("small", "", kind),
	]);
