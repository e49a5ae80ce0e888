"""Other detectors see the runs of the benchmark as they are, and are judged by what they say."""

import pytest
import torch

from benchmarks.diagnosis.cases import GOOD, cases
from benchmarks.diagnosis.others import DETECTORS, WATCHERS, DetectAnomaly
from benchmarks.diagnosis.others.autotrainer import AutoTrainer
from benchmarks.diagnosis.others.lightning import CheckFinite
from benchmarks.diagnosis.others.table import beside
from benchmarks.diagnosis.run import Losses, _fit, run
from lightning_cnnviz.functional.diagnosis.catalog import CATALOG

BY_LIGHTNING = (DetectAnomaly.name, CheckFinite.name, AutoTrainer.name)


@pytest.fixture(autouse=True)
def data(data_root, monkeypatch):
    monkeypatch.setenv("CNNVIZ_DATA", str(data_root))


@pytest.mark.parametrize("detector", DETECTORS)
def test_reports_mean_rules_that_there_are(detector):
    assert {rule for rules in detector.meaning.values() for rule in rules} <= set(CATALOG)


@pytest.mark.parametrize(
    ("accuracies", "norms", "still", "problems"),
    [
        ([0.5, 0.6, 0.65], [1e-5, 1e-1], 0.0, ["vanishing gradient"]),
        ([0.5, 0.6, 0.65], [1e-3, 1e1], 0.0, []),  # small in the first layer beside the last one, but not small
        ([0.5, 0.6, 0.65], [80.0, 1.0], 0.0, ["exploding gradient"]),
        ([0.5, 0.6, 0.95], [80.0, 1.0], 0.8, []),  # it learns
        ([0.2, 0.3, 0.5], [1.0, 1.0], 0.7, ["dying ReLU"]),
        ([0.2, 0.2, 0.205], [1.0, 1.0], 0.0, ["slow convergence"]),
        ([0.2, 0.5, 0.3, 0.6, 0.4, 0.8], [1.0, 1.0], 0.0, ["oscillating loss"]),
        ([0.2, 0.52, 0.5, 0.62, 0.6, 0.8], [1.0, 1.0], 0.0, []),
        ([0.5, 0.8, 0.9], [1.0, 1.0], 0.1, []),
    ],
)
def test_symptoms_of_autotrainer(accuracies, norms, still, problems):
    watcher = AutoTrainer()
    watcher.accuracies, watcher.norms, watcher.still = accuracies, norms, still
    assert watcher.problems() == problems


def test_all_see_a_run_that_is_not_finite():
    case = cases()["NaN and infinity/root_of_nothing/-/vit/digits/0"]
    result = run(case, others=True)
    assert result["error"] is None
    assert result["steps"] == 270  # none ended it
    for name in BY_LIGHTNING:
        assert result["others"][name]["reports"], name
    assert set(result["others"]) == {detector.name for detector in DETECTORS if detector.installed()}


def test_watching_changes_no_run():
    case = cases()["healthy/as it comes/lenet/digits/0"]
    losses = []
    for watchers in ([], [watcher() for watcher in WATCHERS if watcher.installed()]):
        kept = Losses()
        _, error, _, _ = _fit(case.made(), [kept, *watchers], detect_anomaly=bool(watchers))
        assert error is None
        losses.append(kept.summary())
    assert losses[0] == losses[1]
    assert not torch.is_anomaly_enabled()


def test_what_lightning_and_autotrainer_say_of_a_healthy_run():
    others = run(cases()["healthy/as it comes/lenet/digits/0"], others=True)["others"]
    assert not any(others[name]["reports"] for name in BY_LIGHTNING)


def test_only_what_is_installed_watches(monkeypatch):
    monkeypatch.setattr(AutoTrainer, "module", "not_installed")
    assert AutoTrainer not in [watcher for watcher in WATCHERS if watcher.installed()]
    assert CheckFinite.installed()


def test_table_counts_what_was_said():
    def result(kind, rules, found, told):
        others = {AutoTrainer.name: {"version": "", "reports": [[name, 90] for name in told]}}
        return {"kind": kind, "rules": rules, "findings": [{"rule": rule} for rule in found], "others": others}

    text = "\n".join(
        beside(
            [
                result("dead ReLUs", ["dead_units"], ["dead_units"], ["dying ReLU", "slow convergence"]),
                result("leak", ["leakage"], ["leakage"], ["oscillating loss"]),
                result("leak", ["leakage"], [], []),
                result(GOOD, [], [], ["slow convergence"]),
                result(GOOD, [], [], []),
            ]
        )
    )
    assert "of 3 faulty runs" in text
    assert "of 2 healthy runs" in text
    assert "| `Diagnosis` | – | 2 | 2 | 0 |" in text
    assert f"| {AutoTrainer.name} | – | 2 | 1 | 1 |" in text
    assert f"- {AutoTrainer.name}: slow convergence 1" in text
    assert DetectAnomaly.name not in text
