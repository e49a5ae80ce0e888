"""From evidence to findings."""

import math

import pytest
from helpers.evidence import GOOD, NAMES, ROW, look, looks_with, run, scores, stuck

from lightning_cnnviz.functional.diagnosis import diagnose
from lightning_cnnviz.functional.diagnosis.diagnose import FindingHistory, observe
from lightning_cnnviz.functional.diagnosis.finding import Observation


def test_a_healthy_run_has_no_finding():
    assert observe(run()) == []


def test_what_follows_from_a_cause_is_told_only_without_it():
    rows = {name: {**ROW, "update_ratio": 0.5} for name in NAMES}
    dead = {name: GOOD._replace(dead=1.0, variation=0.0) for name in NAMES}
    assert [one.rule for one in observe(stuck(looks=looks_with(layers=dead)))] == ["dead_units"]
    both = stuck(looks=looks_with(layers=dead, gradients=rows))
    assert [one.rule for one in observe(both)] == ["learning_rate_too_high"]


def test_a_symptom_is_told_only_where_no_cause_is_seen():
    assert [one.rule for one in observe(stuck())] == ["loss_does_not_fall"]
    assert [one.rule for one in observe(stuck(setup={"dropout": 0.99}))] == ["dropout_too_strong"]


def test_what_a_fault_explains_is_left_out():
    looks = looks_with(received=(0.0, 255.0, 80.0, 90.0), total_norm=1e6)
    assert [one.rule for one in observe(stuck(looks=looks))] == ["inputs_not_normalized"]


def test_labels_are_not_blamed_where_the_learning_rate_has_ended():
    random = [scores(step, 2.3, 0.1, rank=0.5) for step in range(5, 301, 5)]
    assert [one.rule for one in observe(stuck(train=random))] == ["labels_do_not_fit"]
    ended = [look(step, learning_rates=(0.1 if step < 20 else 0.0,)) for step in range(1, 301, 20)]
    assert [one.rule for one in observe(stuck(train=random, looks=ended))] == ["schedule_ends_early"]


def test_a_rule_that_fails_does_so_alone(monkeypatch):
    def fails(_):
        raise ZeroDivisionError

    monkeypatch.setattr(diagnose, "CAUSES", (fails, *diagnose.CAUSES))
    kept = []
    decayed = stuck(setup={"dropout": 0.99})
    found = observe(decayed, lambda error, words: kept.append((error, words)) is None)
    assert [one.rule for one in found] == ["dropout_too_strong"]
    ((error, words),) = kept
    assert (type(error), words) == (ZeroDivisionError, "the rule fails")
    with pytest.raises(ZeroDivisionError):
        observe(decayed)
    with pytest.raises(ZeroDivisionError):
        observe(decayed, lambda *_: False)


def test_a_finding_is_told_once_and_its_steps_and_layers_grow():
    history = FindingHistory()
    first = Observation("dead_units", "All.", since=40, layers=("relu1",))
    assert [one.rule for one in history.update([first], 100)] == ["dead_units"]
    assert history.update([first._replace(since=20, layers=("relu1", "relu2"))], 200) == []
    (found,) = history.findings
    assert (found.first_step, found.last_step, found.told_step) == (20, 200, 100)
    assert found.layers == ("relu1", "relu2")


def test_findings_are_sorted_by_cause_whenever_they_were_told():
    history = FindingHistory()
    history.update([Observation("loss_does_not_fall", "It does not.", since=1)], 100)
    history.update([Observation("softmax_before_loss", "It is.", since=1)], 200)
    assert [one.rule for one in history.findings] == ["softmax_before_loss", "loss_does_not_fall"]
    again = FindingHistory(history.findings)
    assert again.update([Observation("softmax_before_loss", "It is.", since=1)], 300) == []
    assert math.isclose(again.findings[0].last_step, 300)
