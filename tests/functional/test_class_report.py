import warnings

import numpy as np
import pytest
from helpers.reading import frames, written
from matplotlib import colormaps
from sklearn.metrics import recall_score

from lightning_cnnviz.functional.class_report import class_accuracies, confusion_matrix_chart
from lightning_cnnviz.functional.drawing.caption import PICTURE_MARGIN, text_width

RED_BLUE = colormaps["RdBu_r"]


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def confused(classes, accuracy=0.8, samples=50, seed=0):
    """True and predicted classes, and how often each pair occurs."""
    rng = np.random.default_rng(seed)
    true = np.repeat(np.arange(classes), samples)
    guess = np.where(rng.random(len(true)) < accuracy, true, rng.integers(0, classes, len(true)))
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (true, guess), 1)
    return true, guess, counts


def names(classes):
    return [f"class {number}" for number in range(classes)]


def matrix(picture, classes):
    """Colours at the upper left of each cell's middle, beside the numbers."""
    inside = frames(picture)[0].astype(float)
    step = (len(inside) + 1) / classes if classes <= 20 else len(inside) / classes
    assert step == int(step)
    corner = 2 + np.arange(classes) * int(step) if classes <= 20 else np.arange(classes) * int(step)
    return inside[np.ix_(corner, corner)]


def test_accuracy_of_a_class_is_its_recall():
    true, guess, counts = confused(7)
    expected = recall_score(true, guess, average=None)
    assert class_accuracies(counts).tolist() == pytest.approx(expected.tolist())


def test_a_class_without_samples_has_no_accuracy():
    counts = np.array([[4, 1, 0], [0, 0, 0], [1, 0, 1]])
    np.testing.assert_array_equal(class_accuracies(counts), [0.8, np.nan, 0.5])


@pytest.mark.parametrize("classes", [2, 10, 20])
def test_hits_are_blue_and_mistakes_red_by_their_share_of_the_row(classes):
    counts = confused(classes)[2]
    share = counts / counts.sum(axis=1, keepdims=True)
    signed = np.where(np.eye(classes, dtype=bool), -1, 1) * np.sqrt(share)
    expected = 255 * RED_BLUE(signed / 2 + 0.5)[..., :3]
    found = matrix(confusion_matrix_chart(counts, names(classes)), classes)
    np.testing.assert_allclose(found, expected, atol=5)


def test_the_same_share_has_the_same_colour_in_every_picture():
    early, late = np.array([[10, 60, 30], [0, 90, 10], [0, 0, 100]]), np.array([[97, 0, 3], [0, 90, 10], [3, 0, 97]])
    one, other = (matrix(confusion_matrix_chart(counts, names(3)), 3) for counts in (early, late))
    np.testing.assert_array_equal(one[1], other[1])  # whatever the largest mistake is
    assert one[0, 1, 1] < one[0, 2, 1] < other[0, 2, 1] < 240  # the more, the less green; 3 % are seen


@pytest.mark.parametrize("classes", [21, 100, 1000])
def test_many_classes_are_cells_of_whole_pixels_and_their_diagonal_shows(classes):
    counts = confused(classes)[2]
    picture = confusion_matrix_chart(counts, names(classes))
    assert max(picture.shape[:2]) < 1700
    found = matrix(picture, classes)
    blue = found[..., 2] - found[..., 0] > 30
    assert (blue == np.eye(classes, dtype=bool)).all()
    red = found[..., 0] - found[..., 2] > 1
    assert (red == ((counts > 0) & ~np.eye(classes, dtype=bool))).mean() > 0.999


def test_beyond_a_thousand_neighbouring_classes_share_a_cell():
    counts = np.diag(np.full(2002, 5))
    counts[0, 2001] = 5  # half of the first class
    picture = confusion_matrix_chart(counts, names(2002))
    assert written(picture, "3 × 3 classes in a cell")
    found = matrix(picture, 668)
    assert found[0, -1, 0] > found[0, -1, 2] + 30
    assert (found[np.arange(668), np.arange(668), 2] > found[np.arange(668), np.arange(668), 0] + 30).all()


def test_counts_are_written_up_to_twenty_classes():
    for classes, there in ((20, True), (21, False)):
        counts = np.diag(np.full(classes, 8))
        more = counts.copy()
        more[0, 0] = 9  # the only change of colour or number is here, as the share stays the whole
        one, other = (frames(confusion_matrix_chart(part, names(classes)))[0] for part in (counts, more))
        assert (one != other).any() == there


def test_overall_accuracy_and_notes_are_written():
    true, guess, counts = confused(4)
    picture = confusion_matrix_chart(counts, names(4), title="epoch 3", note="7 left out")
    assert written(picture, "epoch 3", size=15)
    assert written(picture, "7 left out")
    assert written(picture, f"accuracy {100 * (true == guess).mean():.2f} % of 200 samples")


def test_of_many_classes_the_worst_and_the_most_frequent_mistakes_are_named():
    counts = np.diag(np.full(30, 10))
    counts[4, 4], counts[4, 7] = 3, 7
    counts[9, 9], counts[9, 2] = 8, 2
    picture = confusion_matrix_chart(counts, names(30))
    assert written(picture, "lowest accuracy: class 4 30.0 %, class 9 80.0 %")
    assert written(picture, "most frequent mistakes: class 4 → class 7 (7), class 9 → class 2 (2)")
    perfect = confusion_matrix_chart(np.diag(np.full(30, 10)), names(30))
    assert written(perfect, "most frequent mistakes: none")


@pytest.mark.parametrize("classes", [21, 45, 200])
def test_of_long_names_as_many_are_listed_as_fit_over_the_matrix(classes):
    counts = np.diag(np.full(classes, 50))
    for number in range(5):
        counts[number, number], counts[number, number + 5] = 10 + number, 40 - number
    long = [f"class {number}, a long name" for number in range(classes)]
    picture = confusion_matrix_chart(counts, long)
    perfect = confusion_matrix_chart(np.diag(np.full(classes, 50)), long)
    assert picture.shape[1] < perfect.shape[1] + 20  # which says nothing of classes
    mistakes = [f"{long[i]} → {long[i + 5]} ({40 - i})" for i in range(5)]
    lines = [f"most frequent mistakes: {', '.join(mistakes[:count])}" for count in range(1, 6)]
    fit = [text_width(line) <= picture.shape[1] - 2 * PICTURE_MARGIN for line in lines]
    assert fit[0] > fit[-1]
    assert [written(picture, line) for line in lines] == fit


def test_classes_without_samples_are_drawn():
    counts = np.zeros((3, 3), dtype=int)
    assert (matrix(confusion_matrix_chart(counts, names(3)), 3) == 247).all()
    for classes in (3, 30):
        counts = np.diag([0, *[5] * (classes - 1)])
        assert (matrix(confusion_matrix_chart(counts, names(classes)), classes)[0] == 247).all()


def test_long_names_are_cut_and_change_no_cell():
    counts = confused(5)[2]
    plain = confusion_matrix_chart(counts, names(5))
    long = confusion_matrix_chart(counts, ["a very long name of a class " * 9] * 5)
    assert np.array_equal(frames(plain)[0], frames(long)[0])
    assert long.shape[1] < plain.shape[1] + 200


@pytest.mark.parametrize(
    ("shape", "classes"), [((3, 3), 2), ((3, 2), 3), ((1, 1), 1), ((4,), 4)], ids=["names", "square", "one", "rank"]
)
def test_counts_that_do_not_fit_their_names_are_refused_with_both(shape, classes):
    with pytest.raises(ValueError, match=rf"as many names, got shape \({shape[0]}.*\) and {classes} names"):
        confusion_matrix_chart(np.zeros(shape, dtype=int), names(classes))
