"""Several processes: what is drawn is over all ranks and written once, and nothing hangs."""

import io
import os
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from compatibility.strategies_run import FAULTS, Forgetful, Normed, Still
from helpers.tiny import TinyData, events, image_steps, scalars
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DistributedSampler

from lightning_cnnviz.functional.class_report import confusion_matrix_chart
from lightning_cnnviz.functional.kernels import kernel_grid

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="PyTorch was built without processes")
SCRIPT = Path(__file__).with_name("strategies_run.py")
PATIENCE = 400
"""Seconds after which a run counts as hanging."""
EVERYTHING = {"gradient_flow", "curves", "class_report", "kernels", "feature_maps", "projection", "architecture"} | {
    "filter_response",
    "activating_patches",
    "activation_maximization",
    "activations",
    "saliency",
    "sample_history",
}


def run(folder, *cases, code=0):
    """Runs cases in turn; ends them all, and fails, if they hang."""
    path = os.pathsep.join(map(str, (SCRIPT.parents[2], SCRIPT.parents[1])))
    process = subprocess.Popen(
        [sys.executable, SCRIPT, folder, *cases],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"hangs: {process.communicate()[0][-3000:]}")
    assert process.returncode == code, output[-3000:]
    return output


def first_weights(folder, kind=Still):
    model = kind().double()
    model.load_state_dict(torch.load(next(folder.glob("weights*.pt")), weights_only=True))
    return model


def shares(size, ranks):
    """What each of several ranks gets of so many samples: every n-th, and the first ones again where they run out."""
    padded = [*range(size), *range(-size % ranks)]
    return [padded[rank::ranks] for rank in range(ranks)]


def measured(model, data, indices):
    images, targets = data.images[indices].double(), data.targets[indices]
    with torch.no_grad():
        scores = model(images)
    return F.cross_entropy(scores, targets).item(), scores.argmax(1), targets


def assert_all_ranks_count(folder, train, val, kind=Still):
    """Compares what is logged with losses and predictions of the first weights, which never change.

    Args:
        folder: Of the run.
        train: (data, indices) of all ranks together.
        val: Likewise.
        kind: Of the model.
    """
    assert len(list((folder / "run").glob("events*"))) == 1
    model = first_weights(folder, kind)
    for stage, parts in {"train": train, "val": val}.items():
        found = [(len(indices), *measured(model, data, indices)) for data, indices in parts]
        samples = sum(size for size, *_ in found)
        loss = sum(size * loss for size, loss, *_ in found) / samples
        hits = sum(int((predicted == true).sum()) for *_, predicted, true in found)
        assert [value for _, value in scalars(folder, f"curves/loss/{stage}")] == pytest.approx([loss] * 2, rel=1e-4)
        assert [value for _, value in scalars(folder, f"curves/accuracy/{stage}")] == pytest.approx(
            [hits / samples] * 2
        )
    predicted, true = (torch.cat([part[at] for part in found]) for at in (2, 3))
    for number, name in enumerate(TinyData.classes):
        share = (predicted[true == number] == number).double().mean().item()
        assert [value for _, value in scalars(folder, f"class_report/accuracy/{name}")] == pytest.approx([share] * 2)
    counts = np.zeros((4, 4), dtype=int)
    np.add.at(counts, (true, predicted), 1)
    (*_, last) = events(folder).Images("class_report/confusion")
    expected = confusion_matrix_chart(counts, TinyData.classes, title=f"confusion · epoch 2 · step {last.step}")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(last.encoded_image_string)).convert("RGB")), expected)
    for tag, steps in image_steps(folder).items():
        assert steps == sorted(set(steps)), tag


def together(parts):
    return list(chain.from_iterable(parts))


def whole(ranks):
    train, val = TinyData(48), TinyData(40, seed=1)
    return [(train, together(shares(48, ranks)))], [(val, together(shares(40, ranks)))]


def assert_gradients(folder, ranks, per_step=8, kind=Still):
    """Compares each epoch's norms with those of autograd in float64, over the samples of all ranks in each step."""
    data = TinyData(48)
    for epoch in (0, 1):
        orders = []
        for rank in range(ranks):  # as Lightning shuffles them
            sampler = DistributedSampler(data, ranks, rank, shuffle=True, seed=7)
            sampler.set_epoch(epoch)
            orders.append(list(sampler))
        norms = {"conv": [], "fc": [], "head": []}
        for start in range(0, 48 // ranks, per_step):
            indices = together(order[start : start + per_step] for order in orders)
            model = first_weights(folder, kind)
            F.cross_entropy(model(data.images[indices].double()), data.targets[indices]).backward()
            for name, values in norms.items():
                values.append(model.get_submodule(name).weight.grad.norm().item())
        for name, values in norms.items():
            _, logged = scalars(folder, f"gradient_flow/{name}/norm")[epoch]
            assert logged == pytest.approx(np.mean(values), rel=1e-4), (name, epoch)


def test_ddp_of_three_processes(tmp_path):
    run(tmp_path, "ddp3")
    folder = tmp_path / "ddp3"
    assert sorted(path.name for path in folder.glob("finished*")) == ["finished0", "finished1", "finished2"]
    assert {tag.split("/")[0] for tag in image_steps(folder)} == EVERYTHING
    # Of 40 samples on three ranks two are validated twice, which are 42.
    assert_all_ranks_count(folder, *whole(3))
    assert_gradients(folder, 3)


def test_ddp_spawn(tmp_path):
    run(tmp_path, "ddp_spawn")
    folder = tmp_path / "ddp_spawn"
    assert {tag.split("/")[0] for tag in image_steps(folder)} == EVERYTHING
    assert_all_ranks_count(folder, *whole(2))


def test_ddp_fork_as_in_a_notebook(tmp_path):
    run(tmp_path, "ddp_fork")
    assert_all_ranks_count(tmp_path / "ddp_fork", *whole(2))


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
    folder = tmp_path_factory.mktemp("variants")
    run(folder, "unused", "static", "accumulating", "uneven")
    return folder


@pytest.mark.parametrize(("case", "kind"), [("unused", Forgetful), ("static", Still), ("accumulating", Still)])
def test_ddp_variants(case, kind, variants):
    assert_all_ranks_count(variants / case, *whole(2), kind=kind)
    assert_gradients(variants / case, 2, per_step=24 if case == "accumulating" else 8, kind=kind)


def test_uneven_batches(variants):
    """Means weigh each sample the same, whatever rank and batch it was in."""
    train = [(TinyData(32, seed=0), list(range(32))), (TinyData(32, seed=1), list(range(16)))]
    assert_all_ranks_count(variants / "uneven", train, [(TinyData(40, seed=1), list(range(40)))])


@pytest.mark.parametrize("rank", [0, 1])
def test_one_rank_raises(rank, tmp_path):
    output = run(tmp_path, f"raise{rank}", code=1)
    folder = tmp_path / f"raise{rank}"
    assert "one rank is enough" in output
    assert not list(folder.glob("finished*"))
    assert scalars(folder, "curves/loss/val")[0][0] == 3
    assert image_steps(folder)["gradient_flow/bars"] == [3]


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    return folder, run(folder, *FAULTS)


@pytest.mark.parametrize("path", FAULTS)
def test_a_function_fails_on_rank_zero_only(path, faults):
    folder, output = faults
    assert {file.name: file.read_text() for file in (folder / path).glob("finished*")} == dict.fromkeys(
        ("finished0", "finished1"), "2"
    )
    assert "no picture today" in output
    drawn = {tag.split("/")[0] for tag in image_steps(folder / path)}
    assert len(drawn) >= 4, drawn  # what does not need the function is drawn


@pytest.mark.skipif(not hasattr(torch.cpu.Stream, "record_event"), reason="FSDP2 on a CPU came with torch 2.7")
def test_fsdp_with_sharded_parameters(tmp_path):
    output = run(tmp_path, "fsdp2")
    folder = tmp_path / "fsdp2"
    passed_over = {
        "FilterResponse": "filter_response",
        "ActivationMaximization": "activation_maximization",
        "Saliency": "saliency",
        "MaximallyActivatingPatches": "activating_patches",
    }
    for name in passed_over:
        assert output.count(f"{name}: parameters are sharded across ranks; nothing is drawn") == 1
    assert {tag.split("/")[0] for tag in image_steps(folder)} == EVERYTHING - set(passed_over.values())
    assert_all_ranks_count(folder, *whole(2))
    assert_gradients(folder, 2)
    picture = events(folder).Images("kernels/conv")[0].encoded_image_string
    weight = first_weights(folder).float().conv.weight.detach()
    expected = kernel_grid(weight, title="conv · epoch 1 · step 3")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")), expected)


@pytest.mark.skipif(not hasattr(torch.cpu.Stream, "record_event"), reason="FSDP2 on a CPU came with torch 2.7")
def test_input_channels_and_normalisation_layers_of_shards_are_gathered(tmp_path):
    run(tmp_path, "weights")
    folder = tmp_path / "weights"
    model = first_weights(folder, Normed)
    tensors = {
        kind: events(folder).Tensors(f"cnnviz/{kind}")[-1].tensor_proto.string_val[1]
        for kind in ("kernel_channels/second", "normalization/norm")
    }
    planes = model.second.weight.detach().transpose(0, 1).numpy()
    planes = np.concatenate([planes, planes.mean(0, keepdims=True)])
    limit = np.abs(planes).max((1, 2, 3), keepdims=True)
    levels = np.frombuffer(tensors["kernel_channels/second"], np.int8, planes.size).reshape(planes.shape)
    assert (np.abs(levels / 127 * limit - planes) <= limit / 254 * 1.001).all()
    values = np.frombuffer(tensors["normalization/norm"], np.float32, 8).reshape(2, 4)
    np.testing.assert_array_equal(values, [model.norm.weight.tolist(), model.norm.bias.tolist()])


@pytest.mark.skipif(not hasattr(torch.cpu.Stream, "record_event"), reason="FSDP2 on a CPU came with torch 2.7")
def test_gradients_of_shards_are_those_of_the_whole(tmp_path):
    """On three ranks, of which one has no part of the convolution's four kernels."""
    run(tmp_path, "whole", "shards")
    tags = {tag for tag in events(tmp_path / "whole").Tags()["scalars"] if tag.startswith("gradient_flow/")}
    assert len(tags) == 18
    for tag in tags:
        whole, shards = (scalars(tmp_path / case, tag) for case in ("whole", "shards"))
        assert [step for step, _ in whole] == [step for step, _ in shards] == [2, 4]
        assert [value for _, value in shards] == pytest.approx([value for _, value in whole], rel=1e-4), tag
        if not tag.endswith(("non_finite", "zero_share")):
            assert min(value for _, value in shards) > 0
