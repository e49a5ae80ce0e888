"""What TensorBoard's event file holds, read back with its own reader."""

import numpy as np
import pytest
from helpers.tiny import events, fit
from pytorch_lightning.loggers import TensorBoardLogger

from lightning_cnnviz import KernelGrid
from lightning_cnnviz.functional.drawing.encode import encode
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.output.sinks.tensorboard import TensorBoardSink


@pytest.fixture
def sink(tmp_path):
    """Of a logger whose run is in `tmp_path/run`."""
    logger = TensorBoardLogger(tmp_path, name="run", version="")
    yield TensorBoardSink(logger)
    logger.finalize("success")


def test_a_picture_is_the_same_file_and_takes_what_is_returned(sink, tmp_path):
    picture = encode(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))
    before = sum(path.stat().st_size for path in (tmp_path / "run").iterdir())
    size = sink.picture("a/b", picture, 7)
    sink.flush()
    grown = sum(path.stat().st_size for path in (tmp_path / "run").iterdir()) - before
    (event,) = events(tmp_path).Images("a/b")
    assert (event.step, event.height, event.width) == (7, 30, 40)
    assert event.encoded_image_string == picture.data
    assert len(picture.data) < size < grown < size + 60  # an event around it and the record's frame


def test_of_a_film_a_file_is_kept_beside_the_event_file(sink, tmp_path):
    film = encode(np.zeros((8, 8, 3), dtype=np.uint8))._replace(kept=True)
    sink.picture("projection/fc1/film", film, 1)
    sink.picture("kernels/conv1", film._replace(kept=False), 1)
    (kept,) = (tmp_path / "run" / "cnnviz").iterdir()
    assert kept.name == "projection_fc1_film.png"
    assert kept.read_bytes() == film.data


def test_numbers_texts_and_data_of_the_tab_are_read_back(sink, tmp_path):
    sink.numbers({"loss": 0.5, "accuracy": 0.25}, 4)
    sink.text("table", "| a |", 4)
    data = TabData("kernels", {"layer": "conv1"}, {"words": "x"}, {"low": np.arange(3, dtype=np.float32)})
    sink.tab_data(data, 4)
    sink.flush()
    found = events(tmp_path)
    assert {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]} == {
        "loss": [(4, 0.5)],
        "accuracy": [(4, 0.25)],
    }
    (text,) = found.Tensors("table/text_summary")
    assert text.tensor_proto.string_val == [b"| a |"]
    (tensor,) = found.Tensors("cnnviz/kernels/conv1")
    _, payload = tensor.tensor_proto.string_val
    assert np.frombuffer(payload, "<f4").tolist() == [0, 1, 2]


def test_after_a_resume_later_steps_are_those_that_came_again(sink, tmp_path):
    for step in (1, 2, 3):
        sink.numbers({"loss": float(step)}, step)
    sink.begin(1)
    sink.numbers({"loss": 20.0}, 2)
    sink.flush()
    assert [(event.step, event.value) for event in events(tmp_path).Scalars("loss")] == [(1, 1.0), (2, 20.0)]


def test_the_notice_of_hidden_pictures_comes_once_and_names_the_flag(tmp_path, told):
    fit(tmp_path, [KernelGrid(every_n_train_steps=1)])
    assert told().count("--samples_per_plugin images=") == 1
    assert str(tmp_path) in told()


def test_ten_pictures_need_no_notice(tmp_path, told):
    fit(tmp_path, [KernelGrid()], max_epochs=10)
    assert "samples_per_plugin" not in told()
