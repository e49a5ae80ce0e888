"""The tab on runs that a Trainer wrote, and installed from a wheel where there is no PyTorch."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
from matplotlib import colormaps
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard_plugin.conftest import lacking
from tensorboard_plugin.tab_page import Tab

from lightning_cnnviz import InputPartition, cnnviz_callbacks
from recipes.circles import Circles, TwoCircles
from recipes.data import FashionMNIST
from recipes.fashion_cnn import FashionCNN

ROOT = Path(__file__).resolve().parents[2]


def train(folder, name, model, data, callbacks, **options):
    pl.seed_everything(0, verbose=False)
    trainer = pl.Trainer(
        accelerator="cpu",
        callbacks=callbacks,
        logger=TensorBoardLogger(folder, name=name, version=""),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **options,
    )
    trainer.fit(model, datamodule=data)
    return model


@pytest.fixture(scope="module")
def real(data_root, tmp_path_factory):
    """A folder with a run of each system, and the models."""
    folder = tmp_path_factory.mktemp("real") / "runs"
    data = FashionMNIST(root=data_root, batch_size=64)
    part = {"max_epochs": 3, "limit_train_batches": 60, "limit_val_batches": 20}
    shown = cnnviz_callbacks("full", num_samples=300, on_error="raise")  # every layout is waited for
    fashion = train(folder, "fashion", FashionCNN(), data, shown, **part)
    plane = [*cnnviz_callbacks("minimal", every_n_epochs=5), InputPartition(every_n_epochs=5)]
    circles = train(folder, "circles", Circles(), TwoCircles(), plane, max_epochs=10)
    return folder, fashion, circles


@pytest.fixture(params=[True, False], ids=["fast", "slow"])
def tab(request, browser, real, start):
    tab = Tab(browser)
    tab.server = start(real[0], fast=request.param).wait_for("fashion", 3)
    yield tab
    tab.close()


def test_a_run_of_the_fashion_cnn(tab, real):
    _, model, _ = real
    tab.open(tab.server, run="fashion", layer="conv1", view="kernels", scale="own").at(180)
    modules = [name for name, _ in model.named_children() if "accuracy" not in name]
    flattened = modules.index("fc1")
    assert tab.find(".block b").all_inner_texts() == ["input", *modules[:flattened], "flatten", *modules[flattened:]]
    weight = model.conv1.weight.detach().numpy()[:, 0]
    expected = colormaps["RdBu_r"](weight[0] / abs(weight).max() / 2 + 0.5)[..., :3] * 255
    picture = tab.pixels(".sheet:not([hidden]) canvas").astype(float)
    side = (np.abs(picture[2:, 2:, 3] - 255) > 0).argmax(axis=1)[0] / 3
    places = (2 + (np.arange(3) + 0.5) * side).astype(int)
    assert np.abs(picture[np.ix_(places, places)][..., :3] - expected).max() < 8
    assert tab.find(".classes .chip").all_inner_texts() == list(FashionMNIST.class_names)
    last = tab.pixels(".points")
    tab.find("h2 >> nth=0").click()
    tab.page.keyboard.press("Home")
    tab.at(60)
    assert not np.array_equal(last, tab.pixels(".points"))
    assert (
        np.abs(
            tab.pixels(".sheet:not([hidden]) canvas").astype(float)[np.ix_(places, places)][..., :3] - expected
        ).max()
        > 8
    )


def test_a_run_of_the_circles(tab):
    tab.open(tab.server, run="circles").at(10)
    late = tab.pixels(".partition canvas")
    tab.open(tab.server, run="circles", step=5).at(5)
    early = tab.pixels(".partition canvas")
    assert min(len(np.unique(picture.reshape(-1, 4), axis=0)) for picture in (early, late)) > 10
    assert not np.array_equal(early, late)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """An environment with TensorBoard, fast checksums and a wheel of this package, and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT]
    for command in (
        wheel,
        [python, "-m", "pip", "install", "--quiet", "tensorboard", "google-crc32c", "setuptools<81"],
    ):
        run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if run.returncode:
            lacking(f"no clean environment without a package index: {run.stderr[-300:]}")
    (built,) = folder.glob("*.whl")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", built], check=True, timeout=120)
    return python


def test_the_wheel_alone_shows_the_tab(browser, clean, real, start):
    code = "from importlib.util import find_spec; print([find_spec(name) for name in ('torch', 'pytorch_lightning')])"
    assert subprocess.check_output([clean, "-c", code], text=True).strip() == "[None, None]"
    tab = Tab(browser)
    tab.server = start(real[0], fast=False, python=str(clean)).wait_for("fashion", 3)
    tab.page.goto(tab.server.address)
    tab.page.get_by_role("tab", name="CNN Viz").click()
    tab.settle()
    assert tab.words(".panel h2 >> nth=0") == "Network"
    tab.close()
