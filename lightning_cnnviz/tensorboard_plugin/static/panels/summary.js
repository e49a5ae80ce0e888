// What a page that is a file says of the run as a whole: one line, and what stands behind it.
import { h, updateChildren } from "../draw/dom.js";

export class SummaryPanel {
	constructor(view) {
		this.view = view;
		this.line = h("span");
		this.parts = h("div", "parts");
		const head = h("summary", "", h("h2", "", "Summary"), " ", this.line);
		this.element = h("details", "panel summary", head, this.parts);
	}

	get active() {
		return Boolean(this.view.run.listing?.summary);
	}

	draw() {
		const { line, parts } = this.view.run.listing.summary;
		updateChildren(this.line, line, () => line);
		updateChildren(this.parts, JSON.stringify(parts), () =>
			parts.map(([name, rows]) => {
				const listed = rows.flatMap(([key, value]) => [h("dt", "", key), h("dd", "", value)]);
				return h("section", "", h("h3", "", name), h("dl", "", ...listed));
			}),
		);
	}
}
