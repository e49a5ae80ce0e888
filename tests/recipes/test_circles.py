import pytest
import torch
from sklearn.datasets import make_circles
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recipes.__main__ import CONFIGS
from recipes.circles import Circles, TwoCircles
from recipes.cli import train
from recipes.errors import RecipeError


def test_the_model_is_the_one_described():
    torch.manual_seed(0)
    model, points = Circles(), torch.randn(7, 2)
    hidden = (points @ model.fc1.weight.T + model.fc1.bias).clamp(min=0)
    maps = torch.empty(7, 2, 2)
    for kernel in range(2):
        for place in range(2):
            window = hidden[:, place : place + 2]
            maps[:, kernel, place] = window @ model.conv.weight[kernel, 0] + model.conv.bias[kernel]
    pooled = maps.clamp(min=0).amax(dim=2)
    expected = 1 / (1 + (-(pooled @ model.fc2.weight.T + model.fc2.bias)).exp())
    torch.testing.assert_close(model(points), expected)
    assert sum(parameter.numel() for parameter in model.parameters()) == 18


def test_the_data_are_the_tutorials_standardised_by_the_training_set():
    data = TwoCircles()
    train_points, train_targets = data.train.tensors
    test_points, test_targets = data.test.tensors
    assert (len(train_points), len(test_points)) == (1333, 667)
    torch.testing.assert_close(train_points.mean(dim=0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(train_points.std(dim=0, correction=0), torch.ones(2))
    expected, _ = make_circles(n_samples=2000, factor=0.3, noise=0.1, random_state=123)
    points = torch.cat([train_points, test_points]).double()
    ratio = points.std(dim=0) / torch.from_numpy(expected).std(dim=0)
    spread = points / ratio
    moved = spread - spread.mean(dim=0) + torch.from_numpy(expected).mean(dim=0)
    order, expected_order = moved[:, 0].argsort(), expected[:, 0].argsort()
    torch.testing.assert_close(moved[order], torch.from_numpy(expected[expected_order]), atol=1e-5, rtol=0)
    assert 0.49 < test_targets.float().mean() < 0.51
    assert 0.49 < train_targets.float().mean() < 0.51


def test_an_unknown_activation_is_refused():
    with pytest.raises(RecipeError, match="expected activation to be one of relu, sigmoid, tanh, got 'gelu'"):
        Circles("gelu")


VIEWS = [
    "input/data", "output/decision", "pool/winners", "pool/cells",
    *(f"{layer}/{view}" for layer in ("fc1", "conv", "fc2") for view in ("nodes", "layer", "cells")),
]  # fmt: skip


def test_a_shortened_run_draws_every_view_and_monitors_cost_and_accuracy(tmp_path):
    overrides = [
        f"--trainer.logger.save_dir={tmp_path}",
        "--trainer.enable_progress_bar=false",
        "--trainer.max_epochs=200",
        "--model.optimizer=SGD",
        "--model.optimizer.lr=0.5",
        "--model.optimizer.weight_decay=0.0001",
        "--trainer.callbacks+=EarlyStopping",
        "--trainer.callbacks.monitor=val_loss",
        "--trainer.callbacks.patience=100",
    ]
    metrics = train(CONFIGS / "circles.yaml", overrides, prog="test")
    assert metrics["test_acc"] > 0.9
    (folder,) = (tmp_path / "circles").iterdir()
    reader = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()
    images = {tag: [image.step for image in reader.Images(tag)] for tag in reader.Tags()["images"]}
    assert {tag: steps for tag, steps in images.items() if tag.startswith("partition/")} == {
        f"partition/{view}": [200] for view in VIEWS
    }
    for quantity in ("loss", "acc"):
        assert len(reader.Scalars(f"train_{quantity}")) == 200
        assert len(reader.Scalars(f"val_{quantity}")) == 20
    counts = [reader.Scalars(f"partition/{layer}/num_cells_cumulated")[0].value for layer in ("fc1", "conv", "fc2")]
    assert counts == sorted(counts)
    assert counts[0] >= 4
