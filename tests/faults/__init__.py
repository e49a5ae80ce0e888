"""Breaks small trainings at random moments and looks at what is left: `python -m tests.faults --runs 200 --seed 0`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the models and readers that the tests share
