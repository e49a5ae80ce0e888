// Images drawn smaller than they are.

/** Means over areas of `factor` × `factor` values: values, since the mean of two colours stands for another value. */
export function averaged(values, planes, columns, rows, factor) {
	const [across, down] = [Math.ceil(columns / factor), Math.ceil(rows / factor)];
	const means = new Float32Array(across * down * planes);
	const counts = new Uint32Array(means.length);
	for (let k = 0; k < values.length; k++) {
		const [row, column] = [Math.floor(k / planes / columns), Math.floor(k / planes) % columns];
		const area = (Math.floor(row / factor) * across + Math.floor(column / factor)) * planes + (k % planes);
		means[area] += values[k];
		counts[area] += 1;
	}
	return { values: means.map((sum, area) => sum / counts[area]), columns: across, rows: down };
}
