"""Shared fixtures: where the real data lie, and a model small enough to train in a second."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder that holds MNIST and FashionMNIST in torchvision's layout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("CNNVIZ_DATA", beside))
    missing = [name for name in ("MNIST", "FashionMNIST") if not (root / name / "raw").is_dir()]
    if missing:
        message = f"{' and '.join(missing)} not found in {root}; set CNNVIZ_DATA to the folder that holds them"
        if os.environ.get("CNNVIZ_REQUIRE_DATA"):
            pytest.fail(message)
        pytest.skip(message)
    return root
