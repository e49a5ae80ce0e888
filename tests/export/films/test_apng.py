import numpy as np
import pytest
from helpers.logged_pictures import file_of, picture
from PIL import Image, ImageSequence

from lightning_cnnviz.export.films.apng import write_apng
from lightning_cnnviz.export.films.frames import reel


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_the_frames_are_the_pictures(tmp_path, mode):
    images = [picture(seed, mode=mode) for seed in range(3)]
    images.insert(2, images[1].copy())
    images[2].paste(0, (3, 4, 8, 9))
    files = [file_of(image) for image in (*images, images[-1])]  # the last one changes nothing
    write_apng(tmp_path / "film.apng", reel(lambda: iter(files), 0.25))
    with Image.open(tmp_path / "film.apng") as film:
        assert (film.n_frames, film.info["loop"], film.mode) == (5, 0, mode)
        for frame, image in zip(ImageSequence.Iterator(film), (*images, images[-1]), strict=True):
            np.testing.assert_array_equal(frame.convert(mode), image)
            assert frame.info["duration"] in (250, 2000)
        assert film.info["duration"] == 2000
