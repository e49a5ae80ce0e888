"""What a drawing gives becomes files and data for the tab."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lightning_cnnviz.functional.drawing import fonts
from lightning_cnnviz.functional.drawing.encode import Encoded, encode
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.functional.tab.drawn import draw_encoded, drawn_for_tab


def noise(height=20, width=30):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def pixels(data):
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"))


def test_a_picture_becomes_a_file_of_the_same_pixels():
    picture = noise()
    (encoded,) = draw_encoded(lambda: picture)
    assert (encoded.height, encoded.width, encoded.kept) == (20, 30, False)
    np.testing.assert_array_equal(pixels(encoded.data), picture)


@pytest.mark.parametrize(
    "part",
    [encode(noise()), encode(noise())._replace(kept=True), TabData("kernels", {"layer": "fc"}, {}, {})],
    ids=["file", "film", "data"],
)
def test_files_and_data_stay_as_they_are_alone_and_among_others(part):
    assert draw_encoded(lambda: part) == [part]
    assert draw_encoded(lambda: [part, part]) == [part, part]


def test_what_no_font_can_write_is_told_with_the_first_picture_that_has_it(monkeypatch):
    monkeypatch.setattr(fonts, "missing", set())

    def draw(*signs):
        fonts.missing.update(signs)
        return noise()

    assert [type(part) for part in draw_encoded(lambda: draw("猫"))] == [Encoded, str]
    assert [type(part) for part in draw_encoded(lambda: draw("猫"))] == [Encoded]
    assert draw_encoded(lambda: draw("猫", "개"))[1].startswith("no installed font can write 개,")


def test_a_drawing_is_made_once_and_what_it_raises_comes_through():
    made = []
    draw_encoded(lambda: made.append(1) or noise())
    assert made == [1]
    with pytest.raises(ZeroDivisionError):
        draw_encoded(lambda: 1 / 0)


def test_a_picture_comes_with_the_same_for_the_tab():
    picture = noise(24, 40)
    encoded, data = drawn_for_tab("partition", {"layer": "body/0.fc", "view": "nodes"}, lambda: picture)
    assert isinstance(encoded, Encoded)
    np.testing.assert_array_equal(pixels(encoded.data), picture)
    assert data.kind == "partition"
    assert data.names == {"layer": "body/0.fc", "view": "nodes"}
    assert data.info == {"width": 40, "height": 24}
    assert data.arrays["png"].tobytes() == encoded.data
