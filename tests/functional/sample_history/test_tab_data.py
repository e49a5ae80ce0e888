import numpy as np

from lightning_cnnviz.functional.sample_history.dynamics import SamplePass, sample_dynamics
from lightning_cnnviz.functional.sample_history.tab_data import history_tab_data


def test_the_record_has_the_last_pass_of_each_sample_and_lists_some():
    margins, predicted = np.array([[1.0, -2.0, np.nan], [-3.0, -1.0, np.nan]]), np.array([[0, 0, 0], [1, 0, 0]])
    found = sample_dynamics(margins, np.full((2, 3), 0.5), predicted, np.array([0, 1, 1]))
    arrays = (np.array(part) for part in ([1, 1, 0], [-3.0, -1e9, 0.0], [0.5, 0.5, 0.0], [1, 0, -1], [0, 1, -1]))
    record = history_tab_data("val", SamplePass(*arrays), found, ["cat", "dog"], np.array([1, 0]))
    assert record.tag == "cnnviz/sample_history/val"
    assert record.info["samples"] == 3
    assert record.info["listed"] == [
        {"sample": 1, "margin": -1.5, "first_learned": 0, "forgotten": 0},
        {"sample": 0, "margin": -1.0, "first_learned": 1, "forgotten": 1},
    ]
    np.testing.assert_array_equal(record.arrays["values"], np.array([-3, -6e4, np.nan], np.float16))
    assert record.arrays["predicted"].tolist() == [1, 0, -1]
    assert record.arrays["targets"].tolist() == [0, 1, -1]
    assert record.size() == 3 * (2 + 2 + 2)


def test_many_classes_have_room():
    found = sample_dynamics(*(np.ones((1, 1)) for _ in range(3)), np.array([40_000]))
    one = SamplePass(*(np.array([part]) for part in (1, 1.0, 0.5, 40_000, 40_000)))
    record = history_tab_data("val", one, found, [str(number) for number in range(40_001)], np.array([], int))
    assert record.arrays["targets"].tolist() == [40_000]
