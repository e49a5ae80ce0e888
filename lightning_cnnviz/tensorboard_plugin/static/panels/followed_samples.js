// The samples that the user follows, each with what the network took it for at every step.
import { cssClassColour } from "../draw/colours.js";
import { dot, h, iconButton, setText, updateChildren } from "../draw/dom.js";
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

	/** `past` is the series of the samples that are followed. */
	draw(past, samples) {
		const { state, clock } = this.view;
		const { followed } = state.values;
		const count = followed.length;
		const first = count > MAX_ROWS ? `, the first ${MAX_ROWS} here` : "";
		const title = count
			? `Following ${count} sample${count > 1 ? "s" : ""}${first}: predicted class at every step`
			: "Click a point, or draw around some, to follow them through layers and time.";
		setText(this.title, title);
		this.clear.hidden = this.rows.hidden = !count;
		const { targets, classes } = samples;
		const key = JSON.stringify([
			past.id,
			past.frames.size,
			past.steps.length,
			followed,
			targets.length,
			classes,
			appearance.dark,
		]);
		updateChildren(this.rows, key, () => past.part.rows.slice(0, MAX_ROWS).map((k) => this.row(k, past, samples)));
		const current = past.steps.indexOf(clock.stepIn(past.steps));
		if (current === this.current && key === this.drawn) return;
		for (const row of this.rows.children) {
			const cells = row.querySelector(".predictions").children;
			cells[this.current]?.classList.remove("current");
			cells[current]?.classList.add("current");
		}
		Object.assign(this, { current, drawn: key });
	}

	row(k, past, samples) {
		const { classes, targets } = samples;
		const colour = (target) => cssClassColour(target, classes.length);
		const index = past.part.rows.indexOf(k);
		const cells = past.steps.map((step) => {
			const predicted = past.frames.get(step)?.arrays?.predicted?.data[index] ?? -1;
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
