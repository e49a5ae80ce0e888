// Which part of a layer's weights is shown: an input channel and a slice of kernels, a quantity of a normalisation layer.

/** The slice that the recorded picture of kernels shows: the middle one. */
const middleOf = ({ shape }) => shape[2] >> 1;

/** {input, slice} that is shown of kernels: what is chosen, if it is kept, or what the recorded picture shows. */
export function chosenInput(info, { input, slice }) {
	const { inputs, slices, picture } = info;
	return {
		input: inputs.find((each) => String(each) === input) ?? picture,
		slice: slices.includes(slice) ? slice : middleOf(info),
	};
}

export const chosenQuantity = ({ quantities }, { quantity }) =>
	quantities.includes(quantity) ? quantity : quantities[0];

/** Where in its frames a series has what is chosen; null where that is the recorded picture of kernels itself. */
function placeOf(kind, info, choice) {
	if (kind === "normalization") return [info.quantities.indexOf(chosenQuantity(info, choice))];
	const { input, slice } = chosenInput(info, choice);
	const place = [info.inputs.indexOf(input), info.slices.indexOf(slice)];
	return place.includes(-1) || (input === info.picture && slice === middleOf(info)) ? null : place;
}

/**
 * What is shown of a kind and layer: {series, info}. `series` has the pictures, or is null while it is not known which;
 * `info` tells what else there is, or is null where there is no choice.
 */
export function shownPart(run, kind, layer, clock, choice) {
	const whole = run.findSeries(kind, layer) ?? null;
	const parts = { kernels: run.findSeries("kernel_channels", layer), normalization: whole }[kind];
	const step = parts ? clock.stepIn(parts.steps) : null;
	if (step === null) return { series: whole, info: null };
	const frame = run.frame(parts.partOf({ arrays: ["low"] }), step); // what it says of itself, without its values
	if (!frame) return { series: null, info: null };
	if (frame.error) return { series: whole, info: null };
	const place = placeOf(kind, frame.info, choice);
	return { series: place ? parts.partOf({ place }) : whole, info: frame.info };
}

/** The names of quantities, as they are read. */
export const QUANTITIES = {
	weight: "weight",
	bias: "bias",
	running_mean: "running mean",
	running_var: "running variance",
};

const INPUTS = { mean: "mean over input channels", rgb: "as red, green, blue" };

/** What a frame of weights shows, in words. */
export function wordsOf(series, info) {
	const [first, second] = series.part.place ?? [];
	if (series.kind === "normalization") return QUANTITIES[info.quantities[first]];
	const { inputs, slices, block = [1, 1] } = info;
	const isPart = series.kind === "kernel_channels";
	const input = isPart ? inputs[first] : (info.input ?? info.mode);
	const slice = isPart ? slices[second] : info.slice;
	const depth = isPart ? info.shape[2] : (info.slices ?? 1);
	return [
		"weight",
		input === "slice" ? "one input channel" : (INPUTS[input] ?? (input !== undefined && `input channel ${input}`)),
		depth > 1 && `slice ${slice} of ${depth}`,
		block[0] * block[1] > 1 && `means of ${block.join(" × ")}`,
	]
		.filter(Boolean)
		.join(", ");
}

/** What is left out of the input channels, slices and kernels, or of the channels of a normalisation layer, in words. */
export function keptWords({ inputs, slices, channels, shape, groups = 1 }) {
	const of = (kept, all, name) => (kept < all ? `${kept} of ${all} ${name} are kept` : "");
	if (!inputs) {
		const all = shape.reduce((product, size) => product * size, 1);
		const flat = shape.length > 1 ? `weights of ${shape.join(" × ")}, flattened` : "";
		return [flat, of(channels.length, all, "channels")].filter(Boolean).join(" · ");
	}
	const numbers = inputs.filter((input) => input !== "mean").length;
	const perGroup = groups > 1 ? ` of each of ${groups} groups` : "";
	return [
		of(numbers, shape[1], `input channels${perGroup}`) || perGroup.trim(),
		of(slices.length, shape[2], "slices"),
		of(channels.length, shape[0], "kernels"),
	]
		.filter(Boolean)
		.join(" · ");
}
