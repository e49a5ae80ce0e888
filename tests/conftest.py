"""Shared fixtures: where the real data lie, and a model small enough to train in a second."""

import logging
import os
import random
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_cnnviz.worker.client import Worker


@pytest.fixture(scope="session", autouse=True)
def helper():
    """One helper process for all tests: a start for every `fit` would take most of their time."""
    worker = Worker.acquire()
    worker.run(partial(np.add, 1, 1))
    yield
    worker.release()


@pytest.fixture(autouse=True)
def seeded():
    """What a test draws at random does not depend on which tests ran before."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def compiled_anew():
    """What a test compiles does not depend on how often tests before had the same code compiled: there is a limit."""
    if "torch._dynamo" in sys.modules:
        torch._dynamo.reset()


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


@pytest.fixture
def no_warnings():
    """Whatever warns fails, but for the old names by which Matplotlib 3.10.0 calls pyparsing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="matplotlib|pyparsing")
        yield


LOGGERS = [
    logging.getLogger(name)
    for name in (
        *("pytorch_lightning.utilities.rank_zero", "pytorch_lightning", "lightning_fabric"),
        *("lightning.pytorch", "lightning.fabric"),
    )
]


@pytest.fixture(autouse=True)
def talkative():
    """What a test hears of Lightning's log does not depend on who has silenced it before, as recipes do."""
    for logger in LOGGERS:
        logger.setLevel(logging.INFO)


@pytest.fixture
def told(caplog):
    """What Lightning's log says."""
    caplog.set_level(logging.INFO)
    for one in LOGGERS:
        one.addHandler(caplog.handler)
    yield lambda: "\n".join({id(record): record.getMessage() for record in caplog.records}.values())
    for one in LOGGERS:
        one.removeHandler(caplog.handler)
