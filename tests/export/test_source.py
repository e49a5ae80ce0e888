import pytest
from helpers.logged_pictures import Value, file_of, image_value, log, picture
from tensorboard_plugin.scenes import lenet
from tensorboard_plugin.synthetic_run import Run

from lightning_cnnviz.export.source import Source
from lightning_cnnviz.report.folders import ReportError
from lightning_cnnviz.report.selection import Selection
from lightning_cnnviz.tensorboard_plugin.run_index import RunIndex


def source(folder, *layers, first=None, last=None):
    return Source(str(folder), RunIndex(str(folder)), Selection(layers, first, last))


def test_without_a_selection_all_is_there(trained, reader):
    run = source(trained / "run")
    assert set(run.pictures) == set(reader.Tags()["images"])
    assert set(run.scalars) == set(reader.Tags()["scalars"])
    assert run.notes == []


def test_layers_and_steps_are_chosen_in_pictures_scalars_and_data(trained, reader):
    (last,) = {event.step for event in reader.Images("kernels/conv1")[-1:]}
    run = source(trained / "run", "conv*", first=last)
    assert {tag for tag in run.pictures if tag.startswith(("kernels/", "feature_maps/"))} == {
        "kernels/conv1", "kernels/conv2", "feature_maps/conv1", "feature_maps/conv2", "feature_maps/overview",
    }  # fmt: skip
    assert {step for steps in run.pictures.values() for step in steps} == {last}
    of_layers = {tag.split("/")[1] for tag in run.scalars if tag.startswith("gradient_flow/")}
    assert of_layers == {"conv1", "conv2"}
    assert {step for one in run.scalars.values() for step in one.steps} == {last}
    assert {one.identity["layer"] for one in run.series("kernels").values()} == {"conv1", "conv2"}
    assert run.series("projection") == {}
    assert run.whole_run("model") is not None


def test_what_matches_nothing_is_told(trained):
    with pytest.raises(ReportError, match=r"expected one of the layers .*conv1, conv2, .* got 'conv9'"):
        source(trained / "run", "conv9")
    with pytest.raises(ReportError, match="nothing was recorded between"):
        source(trained / "run", first=10**9)


def test_damaged_data_are_left_out_and_told_once(tmp_path):
    lenet(tmp_path)
    path = next(tmp_path.glob("events*"))
    data = bytearray(path.read_bytes())
    place = data.rindex(b"cnnviz/kernels/conv1")
    data[place + 200] ^= 1
    path.write_bytes(data)
    found = source(tmp_path)
    (series,) = (one for tag, one in found.series("kernels").items() if tag == "cnnviz/kernels/conv1")
    for _ in range(2):
        assert len(list(found.frames("cnnviz/kernels/conv1", series.steps.tolist()))) == len(series.steps) - 1
    assert len(found.notes) == 1
    assert "is damaged" in found.notes[0]


def test_a_tag_that_names_two_layers_is_of_the_longer_one(tmp_path):
    other = Run(tmp_path)
    for layer in ("block", "block/conv"):
        other.add("weights", f"cnnviz/weights/{layer}", 1, identity={"layer": layer})
    log(other, 1, image_value("kernels/block/conv", file_of(picture(0))), Value(tag="mean/block", simple_value=1))
    found = source(tmp_path, "block/conv")
    assert list(found.pictures) == ["kernels/block/conv"]
    assert list(found.scalars) == []
