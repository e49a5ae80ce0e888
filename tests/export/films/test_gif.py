import numpy as np
import pytest
from helpers.logged_pictures import file_of, picture
from PIL import Image, ImageSequence

from lightning_cnnviz.export.films.frames import NoFilmError, reel
from lightning_cnnviz.export.films.gif import write_gif


@pytest.mark.parametrize(("mode", "colours"), [("L", 255), ("RGB", 6), ("RGB", 2)])
def test_frames_of_few_colours_are_exact(tmp_path, mode, colours):
    images = [picture(seed, mode=mode, colours=colours) for seed in range(3)]
    images.append(images[-1].copy())
    images[-1].paste(0, (3, 4, 8, 9))
    files = [file_of(image) for image in images]
    write_gif(tmp_path / "film.gif", reel(lambda: iter(files), 0.25))
    with Image.open(tmp_path / "film.gif") as film:
        assert (film.n_frames, film.info["loop"]) == (4, 0)
        for frame, image in zip(ImageSequence.Iterator(film), images, strict=True):
            np.testing.assert_array_equal(frame.convert("RGB"), image.convert("RGB"))
        assert film.info["duration"] == 2000


def test_frames_of_many_colours_are_near(tmp_path):
    ramp = np.linspace(0, 255, 60)
    images = [
        Image.fromarray(np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], blue), 2).astype(np.uint8))
        for blue in (0, 90)
    ]
    files = [file_of(image) for image in images]
    write_gif(tmp_path / "film.gif", reel(lambda: iter(files), 0.25))
    with Image.open(tmp_path / "film.gif") as film:
        for frame, image in zip(ImageSequence.Iterator(film), images, strict=True):
            assert np.abs(np.asarray(frame.convert("RGB"), float) - np.asarray(image, float)).mean() < 10


def test_grey_frames_before_coloured_ones_are_exact(tmp_path):
    greys = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("RGB")
    images = [greys, greys.rotate(90), picture(0, 16, 16, colours=6), greys]
    files = [file_of(image) for image in images]
    write_gif(tmp_path / "film.gif", reel(lambda: iter(files), 0.25))
    with Image.open(tmp_path / "film.gif") as film:
        for frame, image in zip(ImageSequence.Iterator(film), images, strict=True):
            np.testing.assert_array_equal(frame.convert("RGB"), image)


def test_transparency_is_white(tmp_path):
    empty = Image.new("RGBA", (5, 5), (9, 9, 9, 0))
    files = [file_of(empty)] * 2
    write_gif(tmp_path / "film.gif", reel(lambda: iter(files), 0.25))
    with Image.open(tmp_path / "film.gif") as film:
        assert film.convert("RGB").getcolors() == [(25, (255, 255, 255))]


def test_what_is_too_large_for_a_gif_is_no_film(tmp_path):
    files = [file_of(Image.new("L", (70_000, 1)))] * 2
    with pytest.raises(NoFilmError, match="65,535 pixels"):
        write_gif(tmp_path / "film.gif", reel(lambda: iter(files), 0.25))
