import csv
import math

import numpy as np
import pytest
from helpers.logged_pictures import Value, log
from helpers.tab_records import records
from tensorboard_plugin.synthetic_run import Run

import lightning_cnnviz.export.numbers as numbers
from lightning_cnnviz.export.write import export_run


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_scalars_are_those_that_tensorboard_reads(exported, reader):
    rows = table(exported.folder / "numbers" / "scalars.csv")
    tags = reader.Tags()["scalars"]
    assert {row["tag"] for row in rows} == set(tags)
    for tag in tags:
        own = [(int(row["step"]), float(row["wall_time"]), float(row["value"])) for row in rows if row["tag"] == tag]
        theirs = [(event.step, event.wall_time, event.value) for event in reader.Scalars(tag)]
        np.testing.assert_array_equal(own, theirs)


def test_the_wide_table_has_the_last_value_of_each_step(exported, reader):
    rows = table(exported.folder / "numbers" / "scalars_by_step.csv")
    steps = sorted({event.step for tag in reader.Tags()["scalars"] for event in reader.Scalars(tag)})
    assert [int(row["step"]) for row in rows] == steps
    for tag in reader.Tags()["scalars"]:
        last = {event.step: event.value for event in reader.Scalars(tag)}
        cells = {int(row["step"]): float(row[tag]) for row in rows if row[tag]}
        np.testing.assert_equal(cells, last)


def test_the_points_of_the_curves_are_their_scalars(exported, reader):
    rows = table(exported.folder / "numbers" / "curves.csv")
    assert {(row["quantity"], row["split"], row["metric"]) for row in rows} == {
        ("loss", "train", "train_loss"),
        ("loss", "val", "val_loss"),
        ("accuracy", "train", "computed here"),
        ("accuracy", "val", "val_acc"),
    }
    for quantity, split in {(row["quantity"], row["split"]) for row in rows}:
        own = [row for row in rows if (row["quantity"], row["split"]) == (quantity, split)]
        theirs = [(event.step, event.value) for event in reader.Scalars(f"curves/{quantity}/{split}")]
        assert [(int(row["step"]), float(row["value"])) for row in own] == [
            (step, pytest.approx(value, rel=1e-6)) for step, value in theirs
        ]
        assert [float(row["epoch"]) for row in own] == [1, 2, 3, 4]


def test_the_counts_of_the_confusion_matrix_give_the_accuracy_of_each_class(exported, reader):
    rows = table(exported.folder / "numbers" / "confusion.csv")
    steps = sorted({int(row["step"]) for row in rows})
    for name in ("left", "right", "top", "bottom"):
        theirs = {event.step: event.value for event in reader.Scalars(f"class_report/accuracy/{name}")}
        assert sorted(theirs) == steps
        for step in steps:
            own = {
                row["predicted"]: int(row["count"]) for row in rows if (int(row["step"]), row["true"]) == (step, name)
            }
            assert own[name] / sum(own.values()) == pytest.approx(theirs[step])


def test_parquet_has_the_same_rows(exported):
    parquet = pytest.importorskip("pyarrow.parquet")
    for path in (exported.folder / "numbers").glob("*.csv"):
        found = parquet.read_table(path.with_suffix(".parquet")).to_pylist()
        for own, theirs in zip(found, table(path), strict=True):
            assert {name: "" if value is None else str(value) for name, value in own.items()} == theirs


def test_names_and_values_of_any_kind(tmp_path):
    run = Run(tmp_path / "run")
    values = {'a,"b"\nc': math.nan, "step": -math.inf, "=1+1": 1e-45}
    for step in (-1, 7):
        log(run, step, *(Value(tag=tag, simple_value=value) for tag, value in values.items()))
    folder = export_run(tmp_path / "run", tmp_path / "out", only=["numbers"]).folder / "numbers"
    rows = table(folder / "scalars.csv")
    assert [(row["tag"], row["step"]) for row in rows] == [(tag, step) for tag in values for step in ("-1", "7")]
    np.testing.assert_array_equal([float(row["value"]) for row in rows[::2]], np.float32([*values.values()]))
    assert list(table(folder / "scalars_by_step.csv")[0]) == ["step", 'a,"b"\nc', "step (logged)", "=1+1"]


def test_a_table_with_too_many_cells_is_not_written_and_a_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(numbers, "MAX_WIDE_CELLS", 3)
    run = Run(tmp_path / "run")
    for step in range(2):
        log(run, step, Value(tag="a", simple_value=1), Value(tag="b", simple_value=2))
    export = export_run(tmp_path / "run", tmp_path / "out", only=["numbers"])
    assert [path.name for path in export.files] == ["scalars.csv"]
    (note,) = export.notes
    assert note.startswith("scalars_by_step is not written: 2 tags at 2 steps")


def test_the_counts_are_those_that_were_recorded(exported, trained):
    (*_, (step, header, arrays)) = records(trained, "confusion")
    rows = [row for row in table(exported.folder / "numbers" / "confusion.csv") if int(row["step"]) == step]
    assert [int(row["count"]) for row in rows] == arrays["counts"].ravel().tolist()
    assert [row["true"] for row in rows[:: len(header["classes"])]] == header["classes"]
