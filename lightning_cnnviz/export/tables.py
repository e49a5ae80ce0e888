"""Tables as CSV, and as Parquet through PyArrow (`pip install "lightning-cnnviz[export]"`), row by row."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

Columns = Mapping[str, Sequence[Any]]
"""Name → values, all of one length; None where there is none."""
ROWS_AT_A_TIME = 65_536
"""Of a Parquet file: rows of a group, at least."""


def write_table(path: Path, parts: Iterable[Columns], types: Mapping[str, str], *, parquet: bool) -> int:
    """Writes a table.

    Args:
        path: Of the files, without ending.
        parts: Its rows, some at a time.
        types: Its columns → type: `"int"`, `"float"` or `"text"`.
        parquet: Whether to write a Parquet file beside the CSV file.

    Returns:
        The number of rows.

    Raises:
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with ExitStack() as stack:
        text = stack.enter_context(path.with_name(f"{path.name}.csv").open("w", newline="", encoding="utf-8"))
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(types)
        beside = stack.enter_context(_Parquet(path.with_name(f"{path.name}.parquet"), types)) if parquet else None
        for part in parts:
            before = count
            for row in zip(*(part[name] for name in types), strict=True):
                rows.writerow(row)
                count += 1
            if beside is not None and count > before:
                beside.write(part)
    return count


class _Parquet:
    """A Parquet file in groups of some thousand rows."""

    def __init__(self, path: Path, types: Mapping[str, str]) -> None:
        import pyarrow
        from pyarrow import parquet

        known = {"int": pyarrow.int64(), "float": pyarrow.float64(), "text": pyarrow.string()}
        self._arrow = pyarrow
        self._columns = pyarrow.schema([(name, known[kind]) for name, kind in types.items()])
        self._file = parquet.ParquetWriter(path, self._columns)
        self._waiting: list[Any] = []

    def __enter__(self) -> "_Parquet":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._file.close()

    def write(self, part: Columns) -> None:
        arrays = [self._arrow.array(list(part[field.name]), type=field.type) for field in self._columns]
        self._waiting.append(self._arrow.table(arrays, schema=self._columns))
        if sum(table.num_rows for table in self._waiting) >= ROWS_AT_A_TIME:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._file.write_table(self._arrow.concat_tables(self._waiting).combine_chunks())
            self._waiting = []
