// The edges of a graph whose nodes stand in the columns and lanes of a CSS grid.

const SVG = new DOMParser().parseFromString("<svg></svg>", "text/html").querySelector("svg").namespaceURI;

const svg = (tag, attributes) => {
	const element = document.createElementNS(SVG, tag);
	for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
	return element;
};

/** A picture for the edges of a grid, behind what is in it. */
export const edgePicture = () => svg("svg", { class: "edges", "aria-hidden": "true" });

/** Where the tracks of a grid begin and end along one axis. */
function tracks(sizes, gap) {
	let end = -gap;
	return sizes.split(" ").map((size) => {
		const start = end + gap;
		end = start + Number.parseFloat(size);
		return { start, end, middle: (start + end) / 2 };
	});
}

/**
 * Draws edges into a picture. `edges` are [from, to, first, last, lane]: two elements, their columns, and the row in
 * which the edge passes the columns between.
 */
export function drawEdges(picture, grid, edges) {
	const style = getComputedStyle(grid);
	const columns = tracks(style.gridTemplateColumns, Number.parseFloat(style.columnGap) || 0);
	const rows = tracks(style.gridTemplateRows, Number.parseFloat(style.rowGap) || 0);
	const origin = grid.getBoundingClientRect();
	const place = (element) => {
		const { left, right, top, bottom } = element.getBoundingClientRect();
		return { left: left - origin.left, right: right - origin.left, y: (top + bottom) / 2 - origin.top };
	};
	const paths = edges.map(([from, to, first, last, lane]) => {
		const [start, end] = [place(from), place(to)];
		const tip = Math.max(end.left - 1, start.right);
		let path = `M${start.right} ${start.y}H${columns[first].end}`;
		let [x, y] = [columns[first].end, start.y];
		const bend = (toX, toY) => {
			const middle = (x + toX) / 2;
			path += y === toY ? `H${toX}` : `C${middle} ${y} ${middle} ${toY} ${toX} ${toY}`;
			[x, y] = [toX, toY];
		};
		if (last > first + 1) {
			bend(columns[first + 1].start, rows[lane].middle);
			path += `H${columns[last - 1].end}`;
			x = columns[last - 1].end;
		}
		bend(columns[last].start, end.y);
		const arrow = to.classList.contains("port")
			? ""
			: `M${tip - 4} ${end.y - 3}L${tip} ${end.y}L${tip - 4} ${end.y + 3}`;
		return svg("path", { d: `${path}H${tip}${arrow}` });
	});
	picture.replaceChildren(...paths);
}
