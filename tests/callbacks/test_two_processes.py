"""What two processes tell of samples is what one process tells of the same steps."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.ddp_samples import LAYERS, Plain
from helpers.tiny import TinyData, events, image_steps

from lightning_cnnviz.functional import find_patches

SCRIPT = Path(__file__).parents[1] / "helpers" / "ddp_samples.py"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    found = {}
    for processes in (1, 2):
        found[processes] = folder = tmp_path_factory.mktemp(f"processes{processes}")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPT.parents[1]), *sys.path])}
        command = [sys.executable, str(SCRIPT), str(folder), str(processes)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert run.returncode == 0, run.stderr[-3000:]
    return found


def rows(folder):
    with (folder / "run" / "sample_history.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_life_of_every_sample_is_the_same(folders):
    one, two = (rows(folders[processes]) for processes in (1, 2))
    assert len(one) == len(two) == 48 + 40
    exact = {"split", "sample", "sample_in_source", "class", "passes", "first_learned", "forgotten"}
    assert exact <= set(one[0])
    for name in exact:
        assert [row[name] for row in one] == [row[name] for row in two], name
    for name in ("area_under_margin", "confidence", "variability"):
        mine, theirs = (np.array([float(row[name]) for row in each]) for each in (one, two))
        np.testing.assert_allclose(mine, theirs, atol=2e-4, err_msg=name)
    assert len({row["area_under_margin"] for row in one}) > 80, "no two samples are the same"


def test_its_pictures_are_of_the_same_steps_and_written_once(folders):
    one, two = (image_steps(folders[processes]) for processes in (1, 2))
    assert one == two
    assert one["sample_history/train/map"] == one["activating_patches/conv2"] == [6, 12, 18]
    assert len(list((folders[2] / "run").glob("events*"))) == 1
    for split in ("train", "val"):
        scalars = [events(folders[n]).Scalars(f"sample_history/{split}/margin_below_zero") for n in (1, 2)]
        mine, theirs = ([(event.step, event.value) for event in each] for each in scalars)
        assert mine == theirs


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("processes", [1, 2])
def test_patches_are_those_of_the_samples_of_rank_zero(layer, processes, folders):
    """Of two processes each validates every second sample; the weights are those of the last validation."""
    state, found = torch.load(folders[processes] / "found.pt", weights_only=False)
    model = Plain()
    model.load_state_dict(state)
    data = TinyData(40, seed=1)
    images = data.images + 2 * torch.rand(data.images.shape, generator=torch.Generator().manual_seed(1))
    mine = slice(0, None, processes)
    expected = find_patches(model, images[mine], layer, classes=data.targets[mine], patches=3)
    for name in ("samples", "places", "boxes", "classes", "seen"):
        np.testing.assert_array_equal(found[layer][name], getattr(expected, name), err_msg=name)
    np.testing.assert_allclose(found[layer]["values"], expected.values, rtol=1e-5)
    np.testing.assert_allclose(found[layer]["maps"], expected.maps, rtol=1e-4, atol=1e-6)
