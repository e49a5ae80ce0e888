"""PNG files: without loss, and as small as the picture's colours allow."""

import io

import numpy as np
import pytest
from PIL import Image

from lightning_cnnviz.functional.drawing.encode import Encoded, encode
from lightning_cnnviz.functional.feature_map_grid import feature_maps
from lightning_cnnviz.functional.kernels import kernel_grid
from lightning_cnnviz.functional.tab.drawn import draw_encoded


def noise(colours):
    rng = np.random.default_rng(colours)
    palette = rng.permutation(256**3)[:colours]
    codes = palette[rng.integers(0, colours, (40, 50))]
    codes.flat[:colours] = palette
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(("colours", "mode"), [(1, "P"), (2, "P"), (256, "P"), (257, "RGB"), (2000, "RGB")])
def test_colours_survive_in_a_palette_where_they_fit(colours, mode):
    picture = noise(colours)
    image = Image.open(io.BytesIO(encode(picture).data))
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), picture)


def test_grey_takes_one_channel():
    picture = np.random.default_rng(0).integers(0, 256, (30, 20, 1), dtype=np.uint8).repeat(3, axis=2)
    image = Image.open(io.BytesIO(encode(picture).data))
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), picture)


def test_a_picture_of_ours_is_exact():
    picture = kernel_grid(np.random.default_rng(0).normal(size=(16, 1, 5, 5)), title="conv1")
    encoded = encode(picture)
    assert (encoded.height, encoded.width) == picture.shape[:2]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encoded.data)).convert("RGB")), picture)


def test_what_is_encoded_already_stays_as_it_is():
    animation = Encoded(b"apng", 3, 4)
    assert draw_encoded(lambda: animation) == [animation]


def kernels():
    return kernel_grid(np.random.default_rng(0).normal(size=(512, 1, 3, 3)), title="conv5_1 · epoch 3 · step 2577")


def maps():
    grey = np.random.default_rng(1).integers(0, 2, (4, 1, 28, 28))  # of photographs the shades add up
    activations = np.random.default_rng(0).normal(size=(4, 32, 14, 14))
    return feature_maps(activations, grey, [["true 1", "predicted 2"]] * 4, title="conv2 · epoch 3 · step 2577")


def test_true_colour_is_exact_and_no_larger_than_pillow_makes_it():
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    for picture in (photo, photo.repeat(5, axis=0).repeat(5, axis=1), photo[:9]):
        encoded = encode(picture)
        image = Image.open(io.BytesIO(encoded.data))
        image.verify()
        image = Image.open(io.BytesIO(encoded.data))
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), picture)
        assert (encoded.height, encoded.width) == picture.shape[:2]
        by_pillow = io.BytesIO()
        Image.fromarray(picture).save(by_pillow, "PNG", compress_level=3)
        assert encoded.size() < 1.05 * len(by_pillow.getvalue()) + 20


@pytest.mark.parametrize("draw", [kernels, maps])
def test_colour_map_and_words_together_fit_into_a_palette(draw):
    picture = draw()
    encoded = encode(picture)
    image = Image.open(io.BytesIO(encoded.data))
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), picture)
    assert image.mode == "P"
    in_full = io.BytesIO()
    Image.fromarray(picture).save(in_full, "PNG")
    assert encoded.size() < 0.8 * len(in_full.getvalue())
