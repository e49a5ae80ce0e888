import csv

import numpy as np
import pytest
from helpers.tab_records import records
from tensorboard_plugin.synthetic_run import Run

from lightning_cnnviz.export.projections import AXES
from lightning_cnnviz.export.write import export_run


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_sample_has_its_place_class_and_prediction_at_every_step(exported, trained, reader):
    ((_, samples, arrays),) = records(trained, "samples")
    tags = [tag for tag in reader.Tags()["tensors"] if tag.startswith("cnnviz/projection/")]
    assert tags
    for tag in tags:
        *_, layer, method = tag.split("/")
        rows = table(exported.folder / "projections" / f"{layer}_{method}.csv")
        for step, _, recorded in records(trained, tag.removeprefix("cnnviz/")):
            own, rows = rows[: len(recorded["points"])], rows[len(recorded["points"]) :]
            assert {int(row["step"]) for row in own} == {step}
            assert [int(row["sample"]) for row in own] == list(range(len(own)))
            points = np.float32([[row[axis] for axis in AXES[:2]] for row in own])
            np.testing.assert_array_equal(points, recorded["points"])
            for column, expected in (("class", arrays["targets"][: len(own)]), ("predicted", recorded["predicted"])):
                assert [int(row[column]) for row in own] == expected.tolist()
                names = [row["class_name" if column == "class" else "predicted_name"] for row in own]
                assert names == [samples["classes"][one] for one in expected]
        assert not rows


def test_what_is_unknown_is_empty(tmp_path):
    run = Run(tmp_path / "run")
    points = np.float32([[1, 2], [np.nan, np.nan], [3, 4]])
    arrays = {"points": points, "predicted": np.int16([1, -1, 7])}
    run.add("projection", "cnnviz/projection/fc/pca", 5, arrays, identity={"layer": "fc", "method": "pca"}, numbers={})
    run.add("samples", "cnnviz/samples", 5, {"targets": np.int32([0, -1])}, classes=["cat", "dog"])
    export_run(tmp_path / "run", tmp_path / "few", only=["projections"])
    rows = table(tmp_path / "few" / "projections" / "fc_pca.csv")
    assert [row["class"] for row in rows] == ["", "", ""]  # there are more points than samples
    run.add("samples", "cnnviz/samples", 6, {"targets": np.int32([0, -1, 1])}, classes=["cat", "dog"])
    export = export_run(tmp_path / "run", tmp_path / "out", only=["projections"])
    rows = table(export.files[0])
    assert [(row["x"], row["class"], row["class_name"]) for row in rows] == [
        ("1.0", "0", "cat"), ("nan", "", ""), ("3.0", "1", "dog"),
    ]  # fmt: skip
    assert [(row["predicted"], row["predicted_name"]) for row in rows] == [("1", "dog"), ("", ""), ("7", "")]


def test_parquet_has_the_same_rows(exported):
    parquet = pytest.importorskip("pyarrow.parquet")
    for path in (exported.folder / "projections").glob("*.csv"):
        found = parquet.read_table(path.with_suffix(".parquet"))
        assert found.num_rows == len(table(path)) > 0
        assert found["x"].to_pylist() == [float(row["x"]) for row in table(path)]
