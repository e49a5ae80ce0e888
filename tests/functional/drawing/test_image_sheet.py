import numpy as np
import pytest
import torch
from helpers.reading import frames, written

from lightning_cnnviz.functional.drawing.image_sheet import image_sheet, prediction_sheet

RED = (178, 24, 43)


def pictures(count, channels=1, side=8):
    """Images in which no pixel has the grey of the frames."""
    levels = np.linspace([0, 200], [50, 255], channels * side * side // 2)
    return (
        np.random.default_rng(1)
        .permuted(levels.reshape(1, -1).repeat(count, 0), axis=1)
        .reshape(count, channels, side, side)
    )


def red(picture):
    return int((picture == RED).all(axis=-1).sum())


def test_images_stand_in_their_order_five_in_a_row():
    images = pictures(7)
    found = frames(image_sheet(images, [[]] * 7))
    assert len(found) == 7
    for image, cell in zip(images[:, 0], found, strict=True):
        factor = len(cell) // 8
        assert np.abs(cell[::factor, ::factor] - image[..., None]).max() <= 0.51


def test_lines_stand_under_their_image():
    one, other = (image_sheet(pictures(2), [["true: cat"], [word]]) for word in ("true: cat", "true: dog"))
    changed = (one != other).any(axis=-1)
    assert changed[:, 168 + 8 :].any()
    assert not changed[:, : 168 + 8].any()
    assert written(image_sheet(pictures(1, side=4), [["true: cat"]])[60:], "true: cat")


def test_what_is_alarming_is_red():
    calm = image_sheet(pictures(2), [["cat"], ["dog"]])
    alarmed = image_sheet(pictures(2), [["cat"], ["dog"]], alarming=[False, True])
    assert red(calm) == 0
    assert red(alarmed[:, 168 + 8 :]) > 300
    assert red(alarmed[:, : 168 + 8]) == 0
    assert alarmed.shape == calm.shape


@pytest.mark.parametrize("shape", [(3, 7), (3, 2, 50), (3, 1, 9, 9), (3, 3, 300, 200), (3, 1, 4, 5, 6)])
def test_images_of_every_rank_and_size_are_drawn(shape):
    found = frames(image_sheet(torch.rand(shape).round(), [["a name that is far too long for its column " * 3]] * 3))
    assert len(found) == 3
    assert all(max(cell.shape[:2]) <= 152 for cell in found)


def test_no_images_leave_the_words():
    picture = image_sheet(np.zeros((0, 1, 8, 8)), [], title="mistakes", note="no mistakes in 5 samples")
    assert written(picture, "no mistakes in 5 samples")
    assert frames(picture) == []


@pytest.mark.parametrize(("captions", "marks"), [(2, 3), (3, 2)])
def test_different_numbers_are_refused_with_all(captions, marks):
    with pytest.raises(ValueError, match=f"got 3 images, {captions} captions and {marks} marks"):
        image_sheet(pictures(3), [[]] * captions, alarming=[True] * marks)


def test_predictions_are_said_in_words():
    def sheet(true, predicted, confidence=0.987):
        numbers = [torch.tensor([number]) for number in (true, predicted, confidence)]
        return prediction_sheet(pictures(1), *numbers, ["cat", "dog"])

    right, wrong, unknown = sheet(1, 1), sheet(0, 1), sheet(-100, 1)
    for picture, true in ((right, "dog"), (unknown, "unknown")):
        below = picture[120:]
        assert written(below, f"true: {true}")
        assert written(below, "pred: dog")
        assert written(below, "confidence 98.7 %")
        assert red(picture) == 0
    assert red(wrong) > 300
    expected = image_sheet(pictures(1), [["true: cat", "pred: dog ✗", "confidence 98.7 %"]], alarming=[True])
    assert np.array_equal(wrong, expected)
    assert written(sheet(1, 1, torch.nan)[120:], "confidence unknown")


def test_the_mark_of_what_is_wrong_stands_behind_names_of_any_length():
    sheet = prediction_sheet(pictures(1), [0], [1], [0.5], ["cat", "W" * 40])
    cut = [["true: cat", f"pred: {'W' * left}… ✗", "confidence 50.0 %"] for left in range(5, 20)]
    assert any(np.array_equal(sheet, image_sheet(pictures(1), [lines], alarming=[True])) for lines in cut)
