"""What MLflow gets, read back with its own client."""

import numpy as np
import pytest
from helpers.loggers import FILM, fit_beside_tensorboard, make, of_mlflow, of_tensorboard, pixels, same_numbers

from lightning_cnnviz.functional.drawing.encode import encode
from lightning_cnnviz.output.sinks.mlflow import MLflowSink


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """The folder of a run with TensorBoard's logger and MLflow's, and the latter."""
    folder = tmp_path_factory.mktemp("several")
    return folder, fit_beside_tensorboard("mlflow", folder)


def test_mlflow_has_pictures_by_step_numbers_and_the_film_as_a_file(several):
    folder, logger = several
    pictures, numbers = of_tensorboard(folder)
    found, values = of_mlflow(folder, logger.run_id)
    film = pictures.pop((FILM, 12))
    assert found.keys() == pictures.keys()
    for key, data in pictures.items():
        np.testing.assert_array_equal(pixels(found[key]), pixels(data))
    same_numbers(values, numbers)
    (kept,) = folder.glob(f"mlruns/*/{logger.run_id}/artifacts/cnnviz/*.png")
    assert kept.read_bytes() == film
    (table,) = folder.glob(f"mlruns/*/{logger.run_id}/artifacts/cnnviz/architecture/table.md")
    assert "conv1" in table.read_text()


def test_mlflow_takes_more_numbers_at_once_than_its_batches_hold(tmp_path):
    logger = make("mlflow", tmp_path)
    sink = MLflowSink(logger)
    values = {f"gradient_flow/layer{number}/norm": float(number) for number in range(1500)}
    sink.numbers(values, 3)
    (folder,) = tmp_path.glob(f"mlruns/*/{logger.run_id}/metrics")
    found = {path.relative_to(folder).as_posix(): path.read_text().split()[1:] for path in folder.rglob("norm")}
    assert {tag: (float(value), int(step)) for tag, (value, step) in found.items()} == {
        tag: (value, 3) for tag, value in values.items()
    }


def test_mlflow_has_the_first_picture_though_the_trainer_is_just_writing_a_new_metric(tmp_path):
    logger = make("mlflow", tmp_path)
    logger.log_metrics({"loss": 1.0}, step=1)
    sink = MLflowSink(logger)
    sink.begin(0)
    (folder,) = tmp_path.glob(f"mlruns/*/{logger.run_id}/metrics")
    (folder / "accuracy").touch()  # as it is for a moment, before its first value is in it
    sink.picture("kernels/conv1", encode(np.zeros((8, 8, 3), np.uint8)), 6)
    (folder / "accuracy").unlink()
    assert of_mlflow(tmp_path, logger.run_id)[0].keys() == {("kernels/conv1", 6)}
