// How the network divides the plane of its two inputs, through time.
import { dropdown, setOptions } from "../draw/dom.js";
import { PicturePanel } from "./picture.js";

export class PartitionPanel extends PicturePanel {
	constructor(view) {
		const select = dropdown("Layer and view", (cells) => view.state.set({ cells }));
		super(view, "partition", "Partition of the plane", select);
	}

	/** The series that is shown: the chosen one, or one of the open layer. */
	choose(all) {
		const { state, layer } = this.view;
		const tags = all.map((series) => series.tag);
		const own = all.find((series) => series.layer === layer)?.tag;
		const tag = [state.values.cells, own, tags[0]].find((candidate) => tags.includes(candidate));
		setOptions(this.select, tags, tag, (_, k) => `${all[k].layer} · ${all[k].view}`);
		return all[tags.indexOf(tag)];
	}
}
