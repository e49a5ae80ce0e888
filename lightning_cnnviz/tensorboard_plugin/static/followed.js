// The samples that the user follows, each with what the network took it for at every step.
import { h, icon, look, refill } from "./dom.js";
import { number } from "./format.js";
import { classColour, css } from "./palettes.js";
import { stepAt } from "./run.js";
import { thumbnail } from "./tiles.js";

const MOST = 12;

export class Followed {
	constructor(view, state) {
		Object.assign(this, { view, state });
		this.title = h("h3");
		this.rows = h("div", "rows");
		this.element = h("div", "followed",
			h("div", "line", this.title,
				h("button", { class: "chip plain", onclick: () => state.set({ followed: [] }) }, "clear")),
			this.rows);
	}

	draw(clock, state, series, known) {
		const followed = state.now.followed;
		this.element.children[0].children[1].hidden = !followed.length;
		this.title.textContent = !followed.length ? "Click a point, or draw around some, to follow them through layers and time."
			: `Following ${followed.length} sample${followed.length > 1 ? "s" : ""}${followed.length > MOST ? `, the first ${MOST} here` : ""}: predicted class at every step`;
		this.rows.hidden = !followed.length;
		const here = series.frames.size;
		const key = JSON.stringify([series.id, here, followed, known.targets.length, known.classes, look.dark]);
		refill(this.rows, key, () => followed.slice(0, MOST).map((k) => this.row(k, series, known)));
		const now = series.steps.indexOf(stepAt(series.steps, clock.step));
		if (now === this.now && this.rows.dataset.key === this.marked) return;
		Object.assign(this, { now, marked: this.rows.dataset.key });
		for (const row of this.rows.children) {
			[...row.querySelector(".run").children].forEach((cell, place) => cell.classList.toggle("now", place === now));
		}
	}

	row(k, series, known) {
		const { classes, targets } = known;
		const cells = series.steps.map((step) => {
			const predicted = series.frames.get(step)?.arrays?.predicted?.data[k] ?? -1;
			return h("i", { title: `step ${number(step)}: ${classes[predicted] ?? "unknown"}`, onclick: () => this.view.seek(step),
				style: { background: css(classColour(predicted, classes.length)), opacity: predicted < 0 ? 0.3 : 1 } });
		});
		return h("div", "row", thumbnail(known, k, 24),
			h("span", "", h("i", { class: "dot", style: { background: css(classColour(targets[k] ?? -1, classes.length)) } }),
				`#${k} ${classes[targets[k]] ?? ""}`),
			h("div", "run", ...cells),
			icon("×", `No longer follow sample ${k}`,
				() => this.state.set({ followed: this.state.now.followed.filter((other) => other !== k) })));
	}
}
