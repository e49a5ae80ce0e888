// Colours of values and classes. The tables are those of the package's pictures: lightning_cnnviz/functional/drawing.
import { h } from "./dom.js";
import { clamp } from "./scales.js";
import { appearance } from "./theme.js";

/** What colours.json holds, once `loadColours` is done. A colour is [red, green, blue], 0…255; a map is a list of them. */
export const colours = {};

export async function loadColours() {
	const answer = await fetch(new URL("colours.json", import.meta.url));
	if (!answer.ok) throw new Error(`TensorBoard answered ${answer.status} to colours.json`);
	Object.assign(colours, await answer.json());
}

/** The colour of a share between 0 and 1 in a map. */
export const colourAt = (map, share) => map[Math.round(clamp(share, 0, 1) * (map.length - 1))];

/** The colour of class `index` among `count`; grey where the class is not known. On dark pages a little lighter. */
export function classColour(index, count) {
	if (!(index >= 0 && index < count)) return colours.no_class;
	const { classes, rainbow } = colours;
	// More classes than colours: places from 0.03 to 0.97 of the rainbow, rounded as matplotlib does.
	const place = 0.03 + index * ((0.97 - 0.03) / (count - 1));
	const colour = count > classes.length ? rainbow[Math.floor(place * rainbow.length)] : classes[index];
	return appearance.dark ? colour.map((value) => value + (255 - value) * 0.2) : colour;
}

const texts = new WeakMap(); // those of maps are asked for again and again

export function cssColour(colour) {
	if (!texts.has(colour)) texts.set(colour, `rgb(${colour.map(Math.round).join(" ")})`);
	return texts.get(colour);
}

export const cssClassColour = (index, count) => cssColour(classColour(index, count));

/** A bar with the colours of a map, for legends. */
export function colourBar(map) {
	const stops = Array.from({ length: 13 }, (_, k) => cssColour(colourAt(map, k / 12)));
	return h("i", { class: "colour-bar", style: { background: `linear-gradient(to right, ${stops.join()})` } });
}
