"""The benchmark of the README runs and its figures are consistent."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.projection import compare, features_of_two_epochs
from benchmarks.steps import measure


def test_overhead(data_root, tmp_path):
    command = [sys.executable, "-m", "benchmarks.overhead", "--rounds", "1", "--epochs", "1", "--batch-size", "1000"]
    run = subprocess.run(
        [*command, "--json", tmp_path / "figures.json"],
        cwd=Path(__file__).resolve().parents[1],
        env={**os.environ, "CNNVIZ_DATA": str(data_root)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures["seconds"]) == {"bare", "bare again", "standard without projection", "standard"}
    (bare,), (ours,) = figures["seconds"]["bare"], figures["seconds"]["standard"]
    assert figures["ratio_to_bare"]["standard"] == [pytest.approx(ours / bare)]
    assert set(figures["share_on_training_thread"]) == {
        "Architecture",
        "ClassReport",
        "EmbeddingProjection",
        "FeatureMaps",
        "GradientFlow",
        "KernelGrid",
        "LossAccuracy",
    }
    assert "ratio to bare" in run.stdout


def test_projection(data_root, monkeypatch):
    monkeypatch.setenv("CNNVIZ_DATA", str(data_root))
    figures = compare(features_of_two_epochs(200, batches=5), rounds=1)
    assert (figures["samples"], figures["features"]) == (200, 1568)
    (ours,), (theirs,) = figures["seconds"].values()
    assert figures["ratio"] == [pytest.approx(ours / theirs)]
    assert all(0.9 < values[0] <= 1 for values in figures["trustworthiness"].values())
    json.dumps(figures)


def test_steps():
    figures = measure("LeNet-5", batch_size=8, steps=12)
    assert set(figures) == {"GradientFlow", "LossAccuracy", "ClassReport"}
    for row in figures.values():
        assert row["hooks_ms"] > 0
        assert row["longest_ms"] > 0
        assert 0 < row["share"] < 1
    assert figures["GradientFlow"]["median_ms"] > 0
    assert figures["ClassReport"]["median_ms"] < figures["GradientFlow"]["median_ms"]  # it works in validations only
