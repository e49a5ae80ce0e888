import numpy as np
import pytest
from helpers.logged_pictures import file_of, picture
from PIL import Image

from lightning_cnnviz.export.films.frames import NoFilmError, reel


def reel_of(*images):
    files = [file_of(image) for image in images]
    return reel(lambda: iter(files), 0.25)


def test_frames_are_as_large_as_the_largest_picture_and_padded_with_white():
    low, wide = picture(1, height=40, width=10), picture(2, height=20, width=30)
    made = reel_of(low, wide)
    assert (made.size, made.mode, made.count) == ((30, 40), "RGB", 2)
    first, second = (np.asarray(frame) for frame in made.frames())
    np.testing.assert_array_equal(first[:, :10], low)
    np.testing.assert_array_equal(second[:20], wide)
    assert (first[:, 10:] == 255).all()
    assert (second[20:] == 255).all()


@pytest.mark.parametrize(("modes", "mode"), [(["L", "L"], "L"), (["L", "RGB"], "RGB"), (["RGB", "RGBA"], "RGBA")])
def test_the_mode_keeps_what_all_pictures_have(modes, mode):
    images = [picture(seed, mode=one) for seed, one in enumerate(modes)]
    made = reel_of(*images)
    assert made.mode == mode
    for frame, image in zip(made.frames(), images, strict=True):
        np.testing.assert_array_equal(frame, image.convert(mode))


def test_a_palette_is_no_loss():
    image = picture(1, colours=6).quantize(216)
    made = reel_of(image, image)
    np.testing.assert_array_equal(next(made.frames()), image.convert("RGB"))


def test_only_what_differs_from_the_frame_before_is_a_change():
    before = picture(1)
    after = before.copy()
    after.paste((0, 0, 0), (4, 5, 9, 12))
    first, second, third = reel_of(before, after, after).changes()
    assert first.box == (0, 0, 30, 20)
    assert second.box == (4, 5, 9, 12)
    assert third.box == (0, 0, 1, 1)
    np.testing.assert_array_equal(second.picture, np.asarray(after)[5:12, 4:9])
    assert (first.seconds, third.seconds) == (0.25, 2.0)


def test_where_no_film_can_be_made_it_is_said_why():
    animation = file_of(picture(0), save_all=True, append_images=[picture(1)])
    deep = file_of(Image.fromarray(np.full((4, 4), 999, dtype=np.uint16)))
    for files, words in (
        ([file_of(picture(0))], "fewer than two"),
        ([animation, animation], "films already"),
        ([deep, deep], "more than eight bits"),
        ([b"?", b"?"], "cannot be read"),
    ):
        with pytest.raises(NoFilmError, match=words):
            reel(lambda files=files: iter(files), 1)
