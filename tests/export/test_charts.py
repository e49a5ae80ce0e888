import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from helpers.logged_pictures import file_of, image_value, log, picture
from helpers.tab_records import records
from tensorboard_plugin.scenes import hostile
from tensorboard_plugin.synthetic_run import HOSTILE, Run

from lightning_cnnviz.export.write import export_run

SVG = "{http://www.w3.org/2000/svg}"


def parsed(exported, name):
    return ET.parse(exported.folder / "charts" / f"{name}.svg").getroot()


def texts(root):
    return ["".join(one.itertext()) for one in root.iter(f"{SVG}text")]


def lines(root):
    """The polylines of the chart: points of shape (points, 2), in units of the drawing."""
    found = [one.get("d") for one in root.iter(f"{SVG}path") if "stroke-width: 1.6" in (one.get("style") or "")]
    return [np.array(re.findall(r"[ML] (\S+) (\S+)", one), dtype=float) for one in found]


def affine(values, drawn):
    """The largest distance between drawn coordinates and the nearest linear function of the values."""
    values = np.asarray(values, float)
    slope, offset = np.polyfit(values, drawn, 1)
    return np.abs(slope * values + offset - drawn).max(), slope


@pytest.mark.parametrize("quantity", ["loss", "accuracy"])
def test_the_lines_are_those_of_the_values(exported, reader, quantity):
    root = parsed(exported, quantity)
    scalars = [reader.Scalars(f"curves/{quantity}/{split}") for split in ("train", "val")]
    drawn = [line for line in lines(root) if len(line) == len(scalars[0])]
    assert len(drawn) == 2
    across, up = np.concatenate(drawn).T
    events = [event for one in scalars for event in one]  # both lines are on one axis
    error, slope = affine([event.step for event in events], across)
    assert error < 1e-3
    assert slope > 0
    error, slope = affine([event.value for event in events], up)
    assert error < 2e-3
    assert slope < 0  # rows are counted from the top
    words = texts(root)
    metrics = {"loss": ("train_loss", "val_loss"), "accuracy": ("computed here", "val_acc")}[quantity]
    assert {f"train: {metrics[0]}", f"val: {metrics[1]}", quantity, "epochs completed"} <= set(words)
    assert f"{quantity} · up to step {scalars[0][-1].step}" in words


def test_the_gradients_name_layers_steps_and_unit(exported, trained):
    found = records(trained, "gradients")
    step, header, arrays = found[-1]
    words = texts(parsed(exported, "gradient_flow"))
    assert {*header["layers"], f"gradient flow · training · step {step}", "max |g|", "mean |g|"} <= set(words)
    over_time = texts(parsed(exported, "gradient_flow_over_time"))
    assert {*header["layers"], "optimizer step", *(str(step) for step, _, _ in found)} <= set(over_time)
    assert len(arrays["values"]) == len(header["layers"])


def test_the_confusion_matrix_has_every_count(exported, trained):
    (*_, (step, header, arrays)) = records(trained, "confusion")
    root = parsed(exported, "confusion")
    words = texts(root)
    counts = [str(count) for count in arrays["counts"].ravel()]
    start = next(k for k in range(len(words)) if words[k : k + len(counts)] == counts)
    assert start > 0
    for name in header["classes"]:
        assert words.count(name) == 2  # a row and a column
    right, all_samples = np.trace(arrays["counts"]), arrays["counts"].sum()
    assert f"confusion · validation · step {step}" in words
    assert f"accuracy {100 * right / all_samples:.2f} % of {all_samples} samples" in words
    assert {"true class", "predicted class"} <= set(words)


def test_the_projection_has_every_point_in_its_place_and_class(exported, trained):
    ((_, samples, classes),) = records(trained, "samples")
    path = next((exported.folder / "charts").glob("projection_*.svg"))
    layer, method = path.stem.removeprefix("projection_").rsplit("_", 1)
    (*_, (step, _, arrays)) = records(trained, f"projection/{layer}/{method}")
    root = parsed(exported, path.stem)
    groups = [one for one in root.iter(f"{SVG}g") if (one.get("id") or "").startswith("PathCollection")]
    assert len(groups) == 2 * len(samples["classes"])  # in the plot, then in the legend
    groups = groups[: len(samples["classes"])]
    drawn, values = [], []
    for index, group in enumerate(groups):
        own = arrays["points"][classes["targets"][: len(arrays["points"])] == index]
        places = [(float(use.get("x")), float(use.get("y"))) for use in group.iter(f"{SVG}use")]
        assert len(places) == len(own)
        drawn += places
        values += own.tolist()
    drawn, values = np.array(drawn), np.array(values)
    (across, right), (down, up) = (affine(values[:, axis], drawn[:, axis]) for axis in (0, 1))
    assert max(across, down) < 1e-2
    assert right == pytest.approx(-up, rel=1e-3)  # one scale for both axes
    words = texts(root)
    assert {f"{layer} · step {step} · validation samples", *samples["classes"]} <= set(words)


def test_texts_stay_texts_and_fonts_are_embedded_as_truetype(exported):
    for path in (exported.folder / "charts").glob("*.pdf"):
        data = path.read_bytes()
        assert b"/FontFile2" in data
        assert b"/CIDFontType2" in data
        assert b"/Type3" not in data
    for path in (exported.folder / "charts").glob("*.svg"):
        root = ET.parse(path).getroot()
        assert texts(root)
        assert not [one for one in root.iter() if "DejaVuSans-" in (one.get("id") or "")]  # glyphs as shapes


def test_the_same_run_gives_the_same_files(exported, trained, tmp_path):
    again = export_run(trained / "run", tmp_path / "out", only=["charts"])
    for path in again.files:
        assert path.read_bytes() == (exported.folder / path.relative_to(again.folder)).read_bytes()


def test_names_of_any_kind_are_shown_as_they_are(tmp_path):
    hostile(tmp_path / "run")
    export = export_run(tmp_path / "run", tmp_path / "out", only=["charts"])
    roots = [ET.parse(path).getroot() for path in export.files if path.suffix == ".svg"]
    tags = {one.tag for root in roots for one in root.iter()}
    assert not {f"{SVG}script", f"{SVG}img"} & tags
    words = {text for root in roots for text in texts(root)}
    assert any(HOSTILE[0] in text for text in words)


def test_a_picture_of_a_confusion_matrix_without_its_counts_is_no_chart_and_a_line_says_so(tmp_path):
    run = Run(tmp_path / "run")
    log(run, 1, image_value("class_report/confusion", file_of(picture(0))))
    run.add("curves", "cnnviz/curves", 1, points={"loss/val": [[1, 1, 0.5]]})
    export = export_run(tmp_path / "run", tmp_path / "out")
    assert {path.name for path in export.files if path.parent.name == "charts"} == {"loss.pdf", "loss.svg"}
    (note,) = export.notes
    assert note.startswith("no chart of the confusion matrix: this run has recorded its picture alone")
