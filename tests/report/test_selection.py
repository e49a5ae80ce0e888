import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_cnnviz.report.folders import ReportError
from lightning_cnnviz.report.selection import Selection, evenly, thinned
from lightning_cnnviz.tensorboard_plugin.series import Series


def series(kind, steps, **identity):
    made = Series({"schema": 1, "kind": kind, **identity})
    for step in steps:
        made.add(step, 1.7e9, step)
    return made


FOUND = {
    "model": series("model", [0]),
    "curves": series("curves", range(0, 1001, 100)),
    "a": series("kernels", range(0, 1001, 100), layer="features.0"),
    "b": series("kernels", range(0, 1001, 500), layer="head[1]"),
}


def steps_of(chosen):
    return {tag: one.steps.tolist() for tag, one in chosen.items()}


def test_layers_are_chosen_by_name_or_glob_and_what_belongs_to_none_stays():
    assert set(Selection(["features.*"]).of(FOUND)) == {"model", "curves", "a"}
    assert set(Selection(["head[1]"]).of(FOUND)) == {"model", "curves", "b"}
    assert set(Selection().of(FOUND)) == set(FOUND)
    with pytest.raises(ReportError, match=r"one of the layers features\.0, head\[1\], or a glob, got 'haed'"):
        Selection(["features.0", "haed"]).of(FOUND)


def test_steps_are_chosen_and_the_model_stays():
    chosen = steps_of(Selection(first=300, last=600).of(FOUND))
    assert chosen == {"model": [0], "curves": [300, 400, 500, 600], "a": [300, 400, 500, 600], "b": [500]}
    assert steps_of(Selection(first=900).of(FOUND))["a"] == [900, 1000]
    with pytest.raises(ReportError, match="nothing was recorded between these steps"):
        Selection(first=2000).of(FOUND)


def test_a_run_with_its_model_alone_is_a_run():
    assert set(Selection().of({"model": FOUND["model"]})) == {"model"}
    with pytest.raises(ReportError, match="nothing was recorded between these steps"):
        Selection(last=5).of({"model": FOUND["model"]})


def test_steps_go_forwards():
    assert Selection(first=5, last=5).of_steps
    with pytest.raises(ReportError, match="expected steps from a first to a later one, got 6 to 5"):
        Selection(first=6, last=5)


def test_what_is_left_out_is_said():
    assert Selection().words == ""
    words = Selection(["conv1", "fc*"], 100).words
    assert words == "This page has a part of the run: what is of the layers conv1, fc* from step 100."


def test_pictures_are_thinned_and_curves_stay_whole():
    some = steps_of(thinned(FOUND, 0.4))
    assert some == {"model": [0], "curves": list(range(0, 1001, 100)), "a": [0, 300, 700, 1000], "b": [0, 1000]}
    assert steps_of(thinned(FOUND, 1.0)) == steps_of(FOUND)
    assert steps_of(thinned(FOUND, 0.0))["a"] == [0, 1000]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60, unique=True).map(sorted), st.integers(0, 70))
def test_first_and_last_are_kept_and_no_more_than_asked_for(steps, count):
    kept = evenly(steps, count)
    assert kept == sorted(set(kept))
    assert set(kept) <= set(steps)
    assert (kept[0], kept[-1]) == (steps[0], steps[-1])
    assert len(kept) <= max(count, 2)


def test_steps_at_even_distances_stay_so():
    kept = evenly(range(0, 3001, 10), 100)
    gaps = np.diff(kept)
    assert len(kept) == 100
    assert gaps.max() - gaps.min() <= 10
