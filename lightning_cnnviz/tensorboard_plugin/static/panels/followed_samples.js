// The samples that the user follows, each with what the network took it for at every step.
import { cssClassColour } from "../draw/colours.js";
import { dot, h, iconButton, updateChildren } from "../draw/dom.js";
import { formatNumber } from "../draw/format.js";
import { thumbnail } from "../draw/images.js";
import { appearance } from "../draw/theme.js";

const MAX_ROWS = 12;

export class FollowedSamples {
	constructor(view) {
		this.view = view;
		this.title = h("h3");
		this.clear = h("button", { class: "chip plain", onclick: () => view.state.set({ followed: [] }) }, "clear");
		this.rows = h("div", "rows");
		this.element = h("div", "followed", h("div", "line", this.title, this.clear), this.rows);
	}

	draw(series, samples) {
		const { state, clock } = this.view;
		const { followed } = state.values;
		const count = followed.length;
		const first = count > MAX_ROWS ? `, the first ${MAX_ROWS} here` : "";
		this.title.textContent = count
			? `Following ${count} sample${count > 1 ? "s" : ""}${first}: predicted class at every step`
			: "Click a point, or draw around some, to follow them through layers and time.";
		this.clear.hidden = this.rows.hidden = !count;
		const { targets, classes } = samples;
		const key = JSON.stringify([series.id, series.frames.size, followed, targets.length, classes, appearance.dark]);
		updateChildren(this.rows, key, () => followed.slice(0, MAX_ROWS).map((k) => this.row(k, series, samples)));
		const current = series.steps.indexOf(clock.stepIn(series.steps));
		if (current === this.current && key === this.drawn) return;
		Object.assign(this, { current, drawn: key });
		for (const row of this.rows.children) {
			const cells = [...row.querySelector(".predictions").children];
			for (const [index, cell] of cells.entries()) cell.classList.toggle("current", index === current);
		}
	}

	row(k, series, samples) {
		const { classes, targets } = samples;
		const colour = (index) => cssClassColour(index, classes.length);
		const cells = series.steps.map((step) => {
			const predicted = series.frames.get(step)?.arrays?.predicted?.data[k] ?? -1;
			const title = `step ${formatNumber(step)}: ${classes[predicted] ?? "unknown"}`;
			const style = { background: colour(predicted), opacity: predicted < 0 ? 0.3 : 1 };
			return h("i", { title, style, onclick: () => this.view.seek(step) });
		});
		return h(
			"div",
			"row",
			thumbnail(samples, k, 24),
			h("span", { title: classes[targets[k]] ?? "" }, dot(colour(targets[k])), `#${k} ${classes[targets[k]] ?? ""}`),
			h("div", { class: "predictions", role: "img", "aria-label": "predicted class at every step" }, ...cells),
			iconButton("×", `No longer follow sample ${k}`, () => this.view.state.toggle("followed", k)),
		);
	}
}
