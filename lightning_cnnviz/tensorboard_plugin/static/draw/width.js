// Widths of elements, as an observer reports them: to ask an element after a change lays out the whole page at once.

const known = new WeakMap(); // element → its width and what to call when that changes
const observer = new ResizeObserver((entries) => {
	for (const { target } of entries) {
		const entry = known.get(target);
		if (entry.width === target.clientWidth) continue;
		entry.width = target.clientWidth;
		entry.onChange();
	}
});

/** The width of what is inside an element, in CSS pixels; `onChange` is called when it is another one. */
export function widthOf(element, onChange) {
	if (!known.has(element)) {
		known.set(element, { width: element.clientWidth, onChange });
		observer.observe(element);
	}
	return known.get(element).width;
}
