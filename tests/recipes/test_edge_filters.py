"""The edge filters' recipe against scipy and numpy, from the model's layers to the event file."""

import io
import warnings

import numpy as np
import pytest
import torch
from helpers.reading import frames
from matplotlib import colormaps
from PIL import Image
from scipy.signal import correlate2d
from sklearn.datasets import load_sample_image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recipes.__main__ import CONFIGS
from recipes.cli import train
from recipes.edge_filters import EdgeFilters, Photograph

LEFT_TO_RIGHT = np.array([[-1, -1, 1, 1]] * 4)
FILTERS = [LEFT_TO_RIGHT, -LEFT_TO_RIGHT, LEFT_TO_RIGHT.T, -LEFT_TO_RIGHT.T]


def photograph(name="china.jpg"):
    """Grey, halved and in 0…1, in float64."""
    grey = load_sample_image(name)[:426].astype(float).mean(axis=2) / 255
    return grey.reshape(213, 2, 320, 2).mean(axis=(1, 3))


def by_hand(image):
    """What convolution, ReLU and pooling make of it."""
    conv = np.stack([correlate2d(image, kernel, mode="valid") for kernel in FILTERS])
    relu = np.maximum(conv, 0)
    height, width = relu.shape[1] // 4, relu.shape[2] // 4
    pool = relu[:, : 4 * height, : 4 * width].reshape(4, height, 4, width, 4).max(axis=(2, 4))
    return {"conv": conv, "relu": relu, "pool": pool}


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_the_photograph_is_grey_and_small(name):
    (batch,) = Photograph(name).train_dataloader()
    assert batch.shape == (1, 1, 213, 320)
    assert batch.dtype == torch.float32
    np.testing.assert_allclose(batch[0, 0], photograph(name), atol=1e-6)


def test_every_layer_gives_what_scipy_and_numpy_give():
    model, seen = EdgeFilters(), {}
    for name, layer in model.named_children():
        layer.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output[0].numpy()}))
    model(torch.from_numpy(photograph()).float()[None, None])
    expected = by_hand(photograph())
    assert list(seen) == list(expected)
    for name, maps in expected.items():
        np.testing.assert_allclose(seen[name], maps, atol=1e-4)
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("edges")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert train(CONFIGS / "edge_filters.yaml", [f"--trainer.logger.save_dir={home}"], prog="test") == {}
    assert not [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    return home / "edge_filters" / "version_0"


@pytest.fixture(scope="module")
def pictures(folder):
    reader = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    images = {tag: reader.Images(tag) for tag in reader.Tags()["images"]}
    assert all([image.step for image in found] == [1] for found in images.values())
    return {
        tag: np.asarray(Image.open(io.BytesIO(found[0].encoded_image_string)).convert("RGB"))
        for tag, found in images.items()
    }


def test_the_run_draws_filters_responses_and_maps(pictures):
    layers = {f"feature_maps/{name}" for name in ("conv", "relu", "pool", "overview")}
    assert set(pictures) == {"kernels/conv", "filter_response/conv"} | layers


def test_the_filters_are_drawn_with_their_numbers(pictures):
    for kernel, cell in zip(FILTERS, frames(pictures["kernels/conv"]), strict=True):
        side = len(cell) // 4
        corners = cell[1::side, 1::side].astype(int)  # beside the numbers, which stand in the middle
        assert ((corners[..., 0] > corners[..., 2]) == (kernel > 0)).all()
        middles = cell.reshape(4, side, 4, side, 3)[:, 4:-4, :, 2:-2].min(axis=-1)
        assert (middles.max(axis=(1, 3)) > 200).all()  # white ink


def test_the_pooled_map_in_the_event_file_is_numpys(pictures):
    pool = by_hand(photograph())["pool"]
    high = pool.max()
    for expected, cell in zip(pool, frames(pictures["feature_maps/pool"])[1:], strict=True):
        assert cell.shape[:2] == (2 * pool.shape[1], 2 * pool.shape[2])
        colours = 255 * colormaps["viridis"](expected / high)[..., :3]
        np.testing.assert_allclose(cell[::2, ::2], colours, atol=4)


def test_the_photograph_can_be_seen_beside_its_maps(pictures):
    photo, *maps = frames(pictures["feature_maps/conv"])
    assert photo.shape[1] == 220
    assert all(cell.shape[1] == 220 for cell in maps)
