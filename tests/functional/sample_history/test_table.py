import csv
import io

import numpy as np
import pytest

from lightning_cnnviz.functional import history_csv, sample_dynamics
from lightning_cnnviz.functional.sample_history.table import history_markdown


@pytest.fixture
def found():
    margins = np.array([[1.0, np.nan, -2.0, -1.0], [3.0, np.nan, -1.0, 0.5]])
    predicted = np.array([[1, 0, 0, 1], [1, 0, 0, 0]])
    return sample_dynamics(margins, np.array([[0.9] * 4, [0.7] * 4]), predicted, np.array([1, 1, 1, 0]))


def test_the_csv_has_every_sample_that_was_seen_with_its_numbers(found):
    text = history_csv({"train": (found, np.array([40, 41, 42, 43])), "val": (found, np.arange(4))})
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["split"], row["sample"]) for row in rows] == [(s, n) for s in ("train", "val") for n in "023"]
    train = rows[:3]
    assert [row["sample_in_source"] for row in train] == ["40", "42", "43"]
    assert [float(row["area_under_margin"]) for row in train] == [2.0, -1.5, -0.25]
    assert [row["margin_rank"] for row in train] == ["3", "1", "2"]
    for name in ("confidence", "variability", "correctness", "first_learned", "forgotten", "passes", "predicted"):
        expected = getattr(found, name)[found.seen]
        np.testing.assert_allclose([float(row[name]) for row in train], expected, rtol=1e-3)
    assert [row["class"] for row in train] == ["1", "1", "0"]


def test_a_class_name_cannot_break_the_table(found):
    numbers = np.array([2, 3])
    text = history_markdown(numbers, found.take(numbers), ["cat|fish", "<b>dog"])
    rows = text.splitlines()[2:]
    assert len(rows) == 2
    assert all(row.count("|") == 8 for row in rows)
    assert "&lt;b&gt;dog" in rows[0]
    assert rows[0].split(" | ")[3:] == ["-1.50", "80 %", "never", "0 |"]
