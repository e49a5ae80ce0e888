#!/usr/bin/env bash
# PyArrow writes NaN to CSV as `nan` and reads `nan` back as null. Its means skip nulls and keep NaN, so that the mean
# of a loss that has diverged is NaN in the table that was written and a plain number in the one that is read.
#
# Guess: NaN comes back as NaN, as in Parquet. Whoever keeps a training's numbers as CSV and averages them in Arrow, or
# asks for the best run, no longer sees which ones diverged. `ConvertOptions(null_values=[""])` keeps NaN.
#
# Seen with pyarrow==26.0.1:
#   mean written nan, read 2.0 (1 null); as Parquet nan; with null_values nan
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'pyarrow==26.0.1'
cd "$folder"
cat > check.py << 'EOF'
import math

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

table = pa.table({"loss": [1.0, math.nan, 3.0]})
pa.csv.write_csv(table, "loss.csv")
pa.parquet.write_table(table, "loss.parquet")
read = pa.csv.read_csv("loss.csv")["loss"]
kept = pa.csv.read_csv("loss.csv", convert_options=pa.csv.ConvertOptions(null_values=[""]))["loss"]
written, found, parquet, strict = (
    pc.mean(values).as_py() for values in (table["loss"], read, pa.parquet.read_table("loss.parquet")["loss"], kept)
)
print(f"mean written {written}, read {found} ({read.null_count} null); as Parquet {parquet}; with null_values {strict}")
assert math.isnan(written) and found == 2.0 and read.null_count == 1 and math.isnan(parquet) and math.isnan(strict)
EOF
venv/bin/python check.py
