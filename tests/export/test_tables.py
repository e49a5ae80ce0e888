import csv
import math

import pytest

from lightning_cnnviz.export.tables import ROWS_AT_A_TIME, write_table

TYPES = {"name": "text", "step": "int", "value": "float"}
PARTS = [
    {"name": ['a "b", c\nd', "é"], "step": [1, 2**60], "value": [0.1, math.nan]},
    {"name": ["", None], "step": [None, -3], "value": [math.inf, None]},
]


def test_csv_has_every_value_as_it_is(tmp_path):
    assert write_table(tmp_path / "deep" / "table", PARTS, TYPES, parquet=False) == 4
    with (tmp_path / "deep" / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["name", "step", "value"],
        ['a "b", c\nd', "1", "0.1"],
        ["é", str(2**60), "nan"],
        ["", "", "inf"],
        ["", "-3", ""],
    ]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["table.csv"]


def test_parquet_has_the_same_with_types(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(tmp_path / "table", PARTS, TYPES, parquet=True)
    table = parquet.read_table(tmp_path / "table.parquet")
    assert [str(field.type) for field in table.schema] == ["string", "int64", "double"]
    found = table.to_pydict()
    for name in TYPES:
        expected = [value for part in PARTS for value in part[name]]
        assert [str(value) for value in found[name]] == [str(value) for value in expected]


def test_parquet_is_written_in_groups(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    part = {"name": ["a"] * 10_000, "step": range(10_000), "value": [0.5] * 10_000}
    write_table(tmp_path / "table", [part] * 10, TYPES, parquet=True)
    file = parquet.ParquetFile(tmp_path / "table.parquet")
    assert file.metadata.num_rows == 100_000
    assert file.metadata.row_group(0).num_rows == ROWS_AT_A_TIME // 10_000 * 10_000 + 10_000
    assert file.read()["step"].to_pylist() == [*range(10_000)] * 10
