"""The benchmark of `Diagnosis` has the runs that it speaks of, and its figures are what the runs gave."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from benchmarks.diagnosis.cases import GOOD, cases
from benchmarks.diagnosis.report import report, wilson

ROOT = Path(__file__).resolve().parents[1]
RESULT = {
    **{"case": "a", "half": "held-out", "kind": "bottleneck", "variant": "x", "network": "lenet", "data": "mnist"},
    **{"rules": ["bottleneck"], "findings": [], "begins": 10, "not_finite_at": None, "val_acc": 0.1},
    **{"seconds": 2.0, "diagnosis_seconds": 0.1, "failed": []},
}


def finding(rule, told=60):
    return {"rule": rule, "first_step": 20, "told_step": told, "sure": "likely"}


@pytest.fixture
def data(data_root, monkeypatch):
    monkeypatch.setenv("CNNVIZ_DATA", str(data_root))


def test_there_are_as_many_runs_as_promised():
    kinds = Counter(case.kind for case in cases().values())
    healthy = kinds.pop(GOOD)
    assert healthy >= 200
    assert sum(kinds.values()) >= 400
    assert min(kinds.values()) >= 8


def test_each_kind_is_made_in_at_least_three_places():
    places = {}
    for case in cases().values():
        places.setdefault(case.kind, set()).add((case.network, case.data))
    assert min(map(len, places.values())) >= 3


def test_halves_are_alike_in_size():
    halves = Counter(case.half for case in cases().values())
    assert min(halves.values()) > 0.45 * sum(halves.values())


def test_other_seeds_give_other_runs_of_the_same_kinds():
    first, others = cases(), cases(1000)
    assert not set(first) & set(others)
    assert Counter(case.kind for case in first.values()) == Counter(case.kind for case in others.values())


def test_a_run_is_the_same_again(data):
    name = "labels shuffled or partly wrong/shuffled/-/lenet/mnist/0"
    first, second = (cases()[name].made() for _ in range(2))
    assert torch.equal(first.train.dataset.targets, second.train.dataset.targets)
    for one, other in zip(first.module.parameters(), second.module.parameters(), strict=True):
        assert torch.equal(one, other)


def test_wilson():
    # Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_report_counts_what_was_named():
    first = {**RESULT, "findings": [finding("bottleneck"), finding("dead_units")]}
    second = {**RESULT, "case": "b", "findings": [finding("dead_units"), finding("bottleneck", told=80)]}
    silent = {**RESULT, "case": "c"}
    fine = {**RESULT, "case": "d", "kind": GOOD, "variant": "as it comes", "rules": [], "val_acc": 0.9}
    alarm = {**fine, "case": "e", "findings": [finding("overfitting")]}
    text = report([first, second, silent, fine, alarm])
    assert "| bottleneck | 3 | 2 | 1 | 2 | 60 | 50 | 0.10, 0.90 |" in text
    assert "detected: 2 of 3, 66.7%" in text
    assert "named first: 1 of 3, 33.3%" in text
    assert "- bottleneck: dead_units 2" in text
    assert "took 5.0% of the time" in text
    assert "healthy runs with a finding: 1 of 2, 50.0%" in text
    assert "- e: overfitting (likely)" in text


def test_command(data_root, tmp_path):
    out = tmp_path / "results.jsonl"
    words = ["--match", "lenet/digits/0", "--jobs", "1", "--out", str(out)]
    for limit in (1, 2):  # what is done is not done again
        run = subprocess.run(
            [sys.executable, "-m", "benchmarks.diagnosis", *words, "--limit", str(limit)],
            cwd=ROOT,
            env={**os.environ, "CNNVIZ_DATA": str(data_root), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        results = [json.loads(line) for line in out.read_text().splitlines()]
        assert len({result["case"] for result in results}) == len(results) == limit
        assert "| **all** |" in run.stdout or "healthy runs with a finding" in run.stdout
    assert all(result["steps"] > 100 and result["error"] is None for result in results)
