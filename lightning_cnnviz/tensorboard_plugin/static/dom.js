// Small helpers for elements and canvases. Text always arrives as text nodes: a name is never read as HTML.

/** How the page looks: pictures are drawn anew when `key` changes. */
export const look = {
	get dark() {
		return document.documentElement.dataset.theme === "dark";
	},
	get ratio() {
		return window.devicePixelRatio || 1;
	},
	get key() {
		return `${this.dark} ${this.ratio}`;
	},
};

/** An element. `props` is its class, or `on…` listeners, `style`, attributes with a hyphen, `role`, else properties. */
export function h(tag, props = "", ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(typeof props === "string" ? { class: props } : props)) {
		if (name === "class") element.className = value;
		else if (name === "style") Object.assign(element.style, value);
		else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (name.includes("-") || name === "role") element.setAttribute(name, value);
		else element[name] = value;
	}
	element.append(...children.filter((child) => child !== null && child !== undefined));
	return element;
}

/** A card with a headline and what is to be chosen beside it. */
export const panel = (kind, headline, controls, ...rest) =>
	h("section", `panel ${kind}`, h("header", "", h("h2", "", headline), ...controls), ...rest);

/** Replaces what is in an element if `key` differs from the last. */
export function refill(element, key, make) {
	if (element.dataset.key === key) return;
	element.dataset.key = key;
	element.replaceChildren(...[make()].flat().filter((child) => child !== null && child !== undefined));
}

/** Gives a canvas a size in CSS pixels, sharp on every screen, and its cleared context. */
export function sharp(canvas, width, height) {
	const { ratio } = look;
	const [wide, high] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
	if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
	canvas.style.width = `${width}px`;
	canvas.style.height = `${height}px`;
	const context = canvas.getContext("2d");
	context.setTransform(ratio, 0, 0, ratio, 0, 0);
	context.clearRect(0, 0, width, height);
	return context;
}

/** A line through points, left out where a height is NaN; a point alone is a dot. */
export function line(context, points, colour, width = 1, alpha = 1) {
	Object.assign(context, { strokeStyle: colour, fillStyle: colour, lineWidth: width, lineJoin: "round", globalAlpha: alpha });
	context.beginPath();
	let down = false;
	for (const [x, y] of points) {
		if (!Number.isNaN(y)) context[down ? "lineTo" : "moveTo"](x, y);
		down = !Number.isNaN(y);
	}
	context.stroke();
	if (points.length === 1 && down) context.fillRect(points[0][0] - 2, points[0][1] - 2, 4, 4);
	context.globalAlpha = 1;
}

/** Text cut in front to a width: layers' ends differ. */
export function cutFront(context, text, width) {
	if (context.measureText(text).width <= width) return text;
	let [low, high] = [0, text.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		if (context.measureText(`…${text.slice(middle)}`).width <= width) high = middle;
		else low = middle + 1;
	}
	return `…${text.slice(low)}`;
}

/** Fills a select with [value, label] pairs. */
export function options(select, pairs, chosen) {
	refill(select, JSON.stringify(pairs), () => pairs.map(([value, label]) => h("option", { value }, label)));
	select.value = chosen ?? "";
	select.disabled = pairs.length < 2;
}

/** A select, and a small button, with a name that is heard, too. */
export const chooser = (label, choose) =>
	h("select", { title: label, "aria-label": label, onchange: (event) => choose(event.target.value) });
export const icon = (sign, title, onclick) => h("button", { class: "icon", title, "aria-label": title, onclick }, sign);

/** A row of buttons of which one is pressed. */
export function segmented(element, pairs, chosen, choose) {
	refill(element, JSON.stringify(pairs), () =>
		pairs.map(([value, label]) => h("button", { value, onclick: () => choose(value) }, label)),
	);
	for (const button of element.children) button.setAttribute("aria-pressed", button.value === chosen);
}

const tip = h("div", { class: "tip", role: "status" });

/** Shows elements beside the pointer, or nothing. */
export function tooltip(event, ...children) {
	if (!tip.isConnected) document.body.append(tip);
	tip.hidden = !event || !children.length;
	if (tip.hidden) return;
	tip.replaceChildren(...children);
	const { width, height } = tip.getBoundingClientRect();
	const x = event.clientX + 14 + width > window.innerWidth ? event.clientX - width - 10 : event.clientX + 14;
	const y = event.clientY + 14 + height > window.innerHeight ? event.clientY - height - 10 : event.clientY + 14;
	Object.assign(tip.style, { left: `${Math.max(4, x)}px`, top: `${Math.max(4, y)}px` });
}

/** Says something in an element, or hides it. */
export function say(element, words) {
	element.textContent = words ?? "";
	element.hidden = !words;
}

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The value of a colour of the style sheet, for canvases. */
export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
