import numpy as np

from lightning_cnnviz.functional import data_map, sample_dynamics
from lightning_cnnviz.functional.sample_history.data_map import MOST_POINTS, map_note, shown_points


def dynamics(confidences, right):
    """Dynamics of samples of class 0, shape (passes, samples)."""
    confidences, right = np.asarray(confidences, dtype=float), np.asarray(right)
    return sample_dynamics(np.where(right, 1.0, -1.0), confidences, 1 - right, np.zeros(confidences.shape[1], int))


def marked(before, after):
    """Rows and columns of the pixels that differ."""
    return np.argwhere((before != after).any(axis=2))


def test_a_sample_is_drawn_where_its_numbers_say_and_in_the_colour_of_its_correctness():
    passes = 4
    nobody = dynamics(np.full((passes, 1), np.nan), np.zeros((passes, 1), int))
    places, colours = {}, {}
    for name, confidence, right in (
        ("easy", [1, 1, 1, 1], [1, 1, 1, 1]),
        ("hard", [0, 0, 0, 0], [0, 0, 0, 0]),
        ("ambiguous", [0, 1, 0, 1], [0, 1, 0, 1]),
    ):
        empty = data_map(nobody)
        drawn = data_map(dynamics(np.array(confidence)[:, None], np.array(right)[:, None]))
        pixels = marked(empty, drawn)
        places[name] = pixels.mean(axis=0)
        colours[name] = tuple(drawn[tuple(pixels[len(pixels) // 2])])
    assert places["easy"][0] < places["ambiguous"][0] < places["hard"][0]  # rows, from the top
    assert places["easy"][1] < places["ambiguous"][1]
    assert abs(places["easy"][1] - places["hard"][1]) < 2
    assert abs(places["ambiguous"][0] - (places["easy"][0] + places["hard"][0]) / 2) < 3
    assert len(set(colours.values())) == 3


def test_of_too_many_samples_some_are_drawn_and_this_is_said():
    samples = MOST_POINTS + 10
    found = dynamics(np.full((2, samples), 0.5), np.ones((2, samples), int))
    assert len(shown_points(found).targets) == MOST_POINTS
    assert map_note(found) == "20010 samples (20000 of them drawn), 2 passes"
    assert data_map(found, title="train", note=map_note(found)).dtype == np.uint8


def test_a_map_of_a_single_pass_has_no_variability():
    found = dynamics([[0.2, 0.9]], [[0, 1]])
    assert found.variability.tolist() == [0, 0]
    assert (data_map(found) != data_map(dynamics([[np.nan]], [[0]]))).any()
