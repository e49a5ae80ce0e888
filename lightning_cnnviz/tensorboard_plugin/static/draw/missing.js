// Cells of a chart without a number. Each kind has a pattern of its own, so that it is known without its colour, too.
import { colours, cssColour } from "./colours.js";
import { h } from "./dom.js";
import { cssVariable } from "./theme.js";

export const [NOT_MEASURED, NO_GRADIENT, NOT_FINITE] = ["not measured", "no gradient", "not finite"];
const SIDE = 8; // pixels of a tile

/** Lines of a tile, [x, y, x, y], and the colours of them and of the ground. */
const looks = () => ({
	[NOT_MEASURED]: {
		ground: cssVariable("card"),
		ink: cssVariable("quiet"),
		lines: [
			[-1, 1, 1, -1],
			[0, SIDE, SIDE, 0],
			[SIDE - 1, SIDE + 1, SIDE + 1, SIDE - 1],
		],
	},
	[NO_GRADIENT]: { ground: cssVariable("none"), ink: "", lines: [] },
	[NOT_FINITE]: {
		ground: cssColour(colours.non_finite),
		ink: "#111",
		lines: [
			[1, 1, SIDE - 1, SIDE - 1],
			[1, SIDE - 1, SIDE - 1, 1],
		],
	},
});

function drawTile(kind) {
	const { ground, ink, lines } = looks()[kind];
	const tile = h("canvas", { width: SIDE, height: SIDE });
	const context = tile.getContext("2d");
	context.fillStyle = ground;
	context.fillRect(0, 0, SIDE, SIDE);
	context.strokeStyle = ink;
	context.beginPath();
	for (const [x0, y0, x1, y1] of lines) {
		context.moveTo(x0, y0);
		context.lineTo(x1, y1);
	}
	context.stroke();
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
