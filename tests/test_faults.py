"""A short part of the fault suite; all of it is `python -m tests.faults --runs 200 --seed 0`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork") or not Path("/proc").exists(), reason="needs fork and /proc")
def test_whatever_breaks_training_is_what_it_is_without_us_and_nothing_is_left(tmp_path):
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.faults", "--runs", "8", "--seed", "3", "--json", figures]
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=1200, check=False)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    found = json.loads(figures.read_text())["all"]
    assert found["runs"] == 8
    assert found["faults injected"] >= 4  # a drawn function may not be called, and a signal may come after the end
    assert found["trained to the end"] >= 3
    assert [found[name] for name in ("pictures lost", "changed results", "orphans", "temporary files")] == [0, 0, 0, 0]
