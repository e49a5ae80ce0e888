// The network of a run: its graph as it was recorded, and what else is recorded of its nodes.
import { gradientsOf, layersOf, modelOf, readerOf } from "./selectors.js";

/** Kind of series → its sign in the network, and its name. */
const KINDS = {
	kernels: ["K", "kernels"],
	normalization: ["N", "normalisation"],
	feature_maps: ["M", "feature maps"],
	gradient_maps: ["∂", "gradient maps"],
	filter_response: ["R", "filter responses"],
	projection: ["P", "projection"],
	partition: ["C", "input partition"],
	patches: ["E", "patches that excite channels"],
	activations: ["A", "activation statistics"],
	gradients: ["∇", "gradients"],
};

const PART_OF = { kernel_channels: "kernels" }; // kinds that are no view of their own

/** [sign, name] of a kind of series. */
export const signOf = (kind) => KINDS[kind] ?? [kind[0].toUpperCase(), kind.replaceAll("_", " ")];

const ORDER = Object.keys(KINDS);

/** Kinds, each once, in the order of the legend. */
export function sorted(kinds) {
	const unknown = [...new Set(kinds)].filter((kind) => !ORDER.includes(kind));
	return [...ORDER.filter((kind) => kinds.includes(kind)), ...unknown.sort()];
}

/** Layer → kinds of series that it has, gradients among them. */
export function recordedOf(run) {
	const found = new Map();
	const add = (layer, kind) => found.set(layer, (found.get(layer) ?? new Set()).add(PART_OF[kind] ?? kind));
	const layers = new Set(layersOf(run).map(({ name }) => name));
	for (const series of run.series.values()) {
		const reader = readerOf(series);
		const layer = layers.has(reader) ? reader : series.layer;
		if (layer) add(layer, series.kind);
	}
	for (const layer of gradientsOf(run).layers) add(layer, "gradients");
	return found;
}

/** The health of a layer's gradients in a frame of them; null where they were not measured. */
export function healthOf(frame, layer) {
	if (!frame) return null;
	frame.rows ??= new Map(frame.info.layers.map((name, row) => [name, row]));
	const row = frame.rows.get(layer);
	return row === undefined ? null : (frame.info.health?.[row] ?? "none");
}

/**
 * The graph: {nodes, levels, folded, notes}. Layers that it lacks stand behind it, without edges; older records have
 * no graph at all.
 */
export function graphOf(run) {
	const { nodes = [], levels = [], folded = [], notes = [], within } = modelOf(run)?.graph ?? {};
	const known = new Set(nodes.filter((node) => node.module).map((node) => node.name));
	if (within) known.add(within); // what all of it is in, which may have weights of its own
	const others = layersOf(run).filter(({ name }) => name && !known.has(name));
	const top = levels.find((level) => level.group === null) ?? { group: null, items: [], edges: [] };
	const column = Math.max(-1, ...top.items.map((item) => item.column)) + 1;
	const added = others.map((_, k) => ({ nodes: [nodes.length + k], column: column + k, lane: 0 }));
	return {
		nodes: [
			...nodes,
			...others.map((layer) => ({
				label: layer.name,
				role: "other",
				module: true,
				parent: null,
				...layer,
			})),
		],
		levels: new Map([...levels, { ...top, items: [...top.items, ...added] }].map((level) => [level.group, level])),
		folded: new Set(folded),
		within,
		notes: nodes.length || !others.length ? notes : ["how the layers are connected was not recorded"],
	};
}
