// Elements of the page and its controls. Text always arrives as text nodes: a name is never read as HTML.

const present = (children) => children.filter((child) => child || child === 0);

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
	element.append(...present(children));
	return element;
}

/** Replaces the children of an element if `key` differs from the last one. */
export function updateChildren(element, key, make) {
	if (element.dataset.key === key) return;
	element.dataset.key = key;
	element.replaceChildren(...present([make()].flat()));
}

/** Sets an attribute where it is another one: what is written anew is styled and laid out anew. */
export function setAttribute(element, name, value) {
	if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Sets the text of an element where it is another one. */
export function setText(element, text) {
	if (element.textContent !== text) element.textContent = text;
}

/** Shows a message in an element, or hides it. */
export function showMessage(element, message) {
	setText(element, message ?? "");
	element.hidden = !message;
}

/** A card with a headline and its controls. */
export const panel = (kind, headline, controls, ...content) =>
	h("section", `panel ${kind}`, h("header", "", h("h2", "", headline), ...controls), ...content);

/** A select with a label that is heard, too. */
export const dropdown = (label, onChoose) =>
	h("select", { title: label, "aria-label": label, onchange: (event) => onChoose(event.target.value) });

/** Fills a drop-down with values; `labelOf` is given a value and its index. */
export function setOptions(select, values, chosen, labelOf = (value) => value) {
	const pairs = values.map((value, k) => [value, labelOf(value, k)]);
	updateChildren(select, JSON.stringify(pairs), () => pairs.map(([value, label]) => h("option", { value }, label)));
	if (select.value !== (chosen ?? "")) select.value = chosen ?? "";
	select.disabled = values.length < 2;
}

export const iconButton = (icon, title, onclick) =>
	h("button", { class: "icon", title, "aria-label": title, onclick }, icon);

/** Fills an element with a row of buttons, [value, label] pairs, of which one is pressed. */
export function setSegments(element, pairs, chosen, onChoose) {
	updateChildren(element, JSON.stringify(pairs), () =>
		pairs.map(([value, label]) => h("button", { value, onclick: () => onChoose(value) }, label)),
	);
	for (const button of element.children) setAttribute(button, "aria-pressed", button.value === chosen);
}

/** Scrolls an element into the middle of its scroller, in the directions in which it is not wholly in view. */
export function scrollIntoMiddle(scroller, element) {
	const [outer, inner] = [scroller.getBoundingClientRect(), element.getBoundingClientRect()];
	if (inner.left < outer.left || inner.right > outer.right) {
		scroller.scrollLeft += (inner.left + inner.right - outer.left - outer.right) / 2;
	}
	if (inner.top < outer.top || inner.bottom > outer.bottom) {
		scroller.scrollTop += (inner.top + inner.bottom - outer.top - outer.bottom) / 2;
	}
}

/** A small disc of a colour, perhaps with a sign in it. */
export const dot = (background, sign) => h("i", { class: "dot", style: { background } }, sign);

const tip = h("div", { class: "tooltip", role: "status" });

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
