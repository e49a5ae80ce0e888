import numpy as np
import pytest

from lightning_cnnviz.functional import history_sheet, image_sheet, sample_dynamics
from lightning_cnnviz.functional.sample_history.sample_sheet import ranking_note


@pytest.fixture
def found():
    margins = np.array([[1.0, -2.0, -1.0], [3.0, -1.0, -1.0]])
    predicted = np.array([[1, 0, 0], [1, 0, 1]])
    return sample_dynamics(margins, np.full((2, 3), 0.25), predicted, np.array([1, 1, 0]))


def test_each_sample_has_its_number_classes_and_history(found):
    images = {12: np.random.rand(1, 8, 8), 30: np.random.rand(1, 8, 8), 7: np.random.rand(1, 8, 8)}
    drawn = history_sheet(images, np.array([12, 30, 7]), found, ["cat", "dog"], title="mislabelled", note="of 3")
    expected = image_sheet(
        np.stack(list(images.values())),
        [
            ["#12 · dog", "pred: dog", "margin 2.00 · conf. 25 %", "learned: 1 · forgotten: 0×"],
            ["#30 · dog", "pred: cat", "margin -1.50 · conf. 25 %", "never learned"],
            ["#7 · cat", "pred: dog", "margin -1.00 · conf. 25 %", "learned: 1 · forgotten: 1×"],
        ],
        alarming=[False, True, True],
        title="mislabelled",
        note="of 3",
    )
    assert np.array_equal(drawn, expected)


def test_a_sample_without_an_image_is_listed_all_the_same(found):
    drawn = history_sheet({12: np.ones((1, 8, 8), np.uint8)}, np.array([12, 30, 7]), found, ["cat", "dog"])
    assert drawn.shape[1] > 500  # three columns
    nothing = history_sheet({}, np.array([12, 30, 7]), found, ["cat", "dog"])
    assert nothing.shape[1] > 500


def test_nobody_stands_out(found):
    assert history_sheet({}, np.array([], int), found.take(np.array([], int)), ["cat", "dog"], note="none").ndim == 3
    assert ranking_note(found, "forgotten", 0) == "none"


def test_images_of_another_shape_are_left_out(found):
    images = {12: np.ones((1, 8, 8), np.uint8), 30: np.ones((1, 9, 9), np.uint8)}
    assert history_sheet(images, np.array([12, 30, 7]), found, ["cat", "dog"]).ndim == 3


def test_numbers_and_samples_have_to_be_as_many(found):
    with pytest.raises(ValueError, match="as many numbers as samples, got 2 and 3"):
        history_sheet({}, np.array([1, 2]), found, ["cat", "dog"])


def test_the_note_says_how_many_there_are(found):
    assert ranking_note(found, "mislabelled", 1).startswith("the first 1 of 2 whose label may be wrong")
