// What the user chose. It is kept in TensorBoard's address, in its own form `p.<plugin>.<name>`: it survives a reload,
// and the address is a link to what is seen.
import { host } from "../draw/host.js";
import { listenAddress, readAddress, writeAddress } from "./address.js";

const PREFIX = "p.cnnviz.";
const TEXT = [
	"run",
	"compare",
	"layer",
	"view",
	"input",
	"quantity",
	"plot",
	"method",
	"statistic",
	"cells",
	"saliency",
	"scale",
	"toggled",
	"split",
];
const NUMBERS = ["step", "sample", "channel", "slice", "zoom", "rate", "numbered"];
const LISTS = ["classes", "followed"];

export class State {
	constructor() {
		this.listeners = [];
		this.read();
		// A link that is pasted where TensorBoard is open changes the address only.
		listenAddress(() => {
			if (!readAddress().includes(PREFIX)) return;
			this.read();
			for (const listener of this.listeners) listener({ run: this.values.run, step: this.values.step, linked: true });
		});
	}

	read() {
		this.values = { classes: [], followed: [] };
		const fields = new URLSearchParams(readAddress().replaceAll("+", "%2B"));
		const text = (name) => fields.get(PREFIX + name) ?? "";
		for (const name of TEXT) if (text(name)) this.values[name] = text(name);
		for (const name of NUMBERS) if (/^\d+(\.\d+)?$/.test(text(name))) this.values[name] = Number(text(name));
		for (const name of LISTS)
			this.values[name] = text(name).split(",").filter(Boolean).map(Number).filter(Number.isInteger);
	}

	/** Changes some values; undefined forgets one. */
	set(changes) {
		Object.assign(this.values, changes);
		for (const listener of this.listeners) listener(changes);
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.save(), 250);
	}

	/** Puts an item into the list of a name, or takes it out. */
	toggle(name, item) {
		const list = this.values[name];
		this.set({ [name]: list.includes(item) ? list.filter((other) => other !== item) : [...list, item] });
	}

	save() {
		const others = readAddress()
			.split("&")
			.filter((field) => field && !field.startsWith(PREFIX));
		if (host !== window && others[0] !== "cnnviz") return; // another tab has the address now
		const own = [...TEXT, ...NUMBERS, ...LISTS]
			.filter((name) => String(this.values[name] ?? "") !== "")
			.map((name) => `${PREFIX}${name}=${encodeURIComponent(String(this.values[name]))}`);
		writeAddress([...others, ...own].join("&"));
	}
}
