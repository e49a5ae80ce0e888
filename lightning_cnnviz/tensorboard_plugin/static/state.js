// What the user chose. It is kept in TensorBoard's address, in its own form `p.<plugin>.<name>`: it survives a reload,
// and the address is a link to what is seen.

const PREFIX = "p.cnnviz.";
const TEXT = ["run", "compare", "layer", "view", "plot", "method", "statistic", "cells", "scale"];
const NUMBERS = ["step", "sample", "channel"];
const LISTS = ["classes", "followed"];

/** The window with the address: TensorBoard's, or our own where the page stands alone. */
const host = (() => {
	try {
		return window.parent.location.hash === undefined ? window : window.parent;
	} catch {
		return window;
	}
})();

export class State {
	constructor() {
		this.now = { classes: [], followed: [] };
		this.listeners = [];
		const fields = new Map(host.location.hash.slice(1).split("&").map(pair));
		for (const name of TEXT) if (fields.has(PREFIX + name)) this.now[name] = fields.get(PREFIX + name);
		for (const name of NUMBERS) {
			const value = fields.has(PREFIX + name) ? Number(fields.get(PREFIX + name)) : NaN;
			if (Number.isFinite(value)) this.now[name] = value;
		}
		for (const name of LISTS) {
			const items = (fields.get(PREFIX + name) ?? "").split(",").filter(Boolean).map(Number);
			this.now[name] = items.filter(Number.isInteger);
		}
	}

	/** Changes some values; undefined forgets one. */
	set(changes) {
		Object.assign(this.now, changes);
		for (const listener of this.listeners) listener(changes);
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.save(), 250);
	}

	save() {
		const others = host.location.hash.slice(1).split("&").filter((field) => field && !field.startsWith(PREFIX));
		if (host !== window && others[0] !== "cnnviz") return; // another tab has the address now
		const own = [...TEXT, ...NUMBERS, ...LISTS]
			.filter((name) => this.now[name] !== undefined && this.now[name] !== null && String(this.now[name]) !== "")
			.map((name) => `${PREFIX}${name}=${encodeURIComponent(String(this.now[name]))}`);
		host.history.replaceState(host.history.state, "", `#${[...others, ...own].join("&")}`);
	}
}

function pair(field) {
	const [name, ...value] = field.split("=");
	try {
		return [name, decodeURIComponent(value.join("="))];
	} catch {
		return [name, ""];
	}
}
