// The parts of real samples that excite each channel of a layer most and least, through time.
import { dropdown, setOptions } from "../draw/dom.js";
import { PicturePanel } from "./picture.js";

export class PatchesPanel extends PicturePanel {
	constructor(view) {
		super(
			view,
			"patches",
			"What excites channels most",
			dropdown("Layer", (layer) => view.state.set({ layer })),
		);
	}

	/** The series that is shown: that of the open layer, or the one that was shown before it was opened. */
	choose(all) {
		const own = all.find((series) => series.layer === this.view.layer);
		this.series = own ?? all.find((series) => series.layer === this.series?.layer) ?? all[0];
		setOptions(
			this.select,
			all.map(({ layer }) => layer),
			this.series.layer,
		);
		return this.series;
	}
}
