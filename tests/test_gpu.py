"""What only a GPU can show: mixed precision with a loss scale, and that nothing is waited for between pictures."""

import numpy as np
import pytest
import torch
from helpers.tiny import TinyData, TinyNet, fit, image_steps, scalars
from torch.utils.data import DataLoader

from lightning_cnnviz import GradientFlow, cnnviz_callbacks
from lightning_cnnviz.functional.model_summary.layer_table import architecture
from lightning_cnnviz.functional.units.patch_cutting import BatchImages
from lightning_cnnviz.functional.units.patch_ranking import PatchRanking
from lightning_cnnviz.model.activation_tap import LayerRun
from lightning_cnnviz.model.field_axis import Axis
from lightning_cnnviz.model.receptive_field import ReceptiveField
from lightning_cnnviz.model.score_listener import ScoredBatch
from lightning_cnnviz.statistics.activation_window import ActivationWindow
from lightning_cnnviz.statistics.class_tally import ClassTally
from lightning_cnnviz.statistics.gradient_window import GradientWindow

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")


class Adam(TinyNet):
    def __init__(self, fused: bool) -> None:
        super().__init__(learning_rate=0.0)
        self.fused = fused
        self.drop.p = 0.0

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.0, fused=self.fused)


def norms(folder, fused, precision):
    data = DataLoader(TinyData(48), 8), DataLoader(TinyData(40, seed=1), 8)
    watching = GradientFlow(on_error="raise")
    fit(
        folder,
        [watching],
        model=Adam(fused),
        data=data,
        accelerator="gpu",
        devices=1,
        precision=precision,
        max_epochs=1,
    )
    return {layer: scalars(folder, f"gradient_flow/{layer}/norm")[0][1] for layer in ("conv1", "conv2", "fc1", "fc2")}


@pytest.mark.parametrize("fused", [False, True], ids=["foreach", "fused"])
def test_gradients_are_unscaled_under_mixed_precision(fused, tmp_path):
    exact = norms(tmp_path / "64", False, "64-true")
    mixed = norms(tmp_path / "16", fused, "16-mixed")
    for layer, norm in exact.items():
        assert mixed[layer] == pytest.approx(norm, rel=0.05), layer  # a loss scale would be off by thousands


@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed", "bf16-true"])
def test_everything_is_drawn_on_the_gpu(precision, tmp_path):
    options = {"accelerator": "gpu", "devices": 1, "precision": precision}
    fit(tmp_path, cnnviz_callbacks(on_error="raise"), **options)
    steps = image_steps(tmp_path)
    assert steps.pop("architecture/diagram") == [0]
    drawn = {tag.split("/")[0] for tag in steps}
    assert drawn == {
        *("activations", "kernels", "feature_maps", "gradient_flow", "projection", "curves", "class_report")
    }
    assert all(found == [6, 12] for found in steps.values())


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (torch.nn.Conv2d(4, 8, 3, groups=2), (1, 4, 16, 16)),
        (torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), (1, 5, 16)),
        (torch.nn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True), (1, 9, 4)),
        (torch.nn.GRU(4, 3, batch_first=True), (1, 9, 4)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_layers_are_described_as_on_the_cpu(layer, shape):
    net = torch.nn.Sequential(layer)
    expected = architecture(net, torch.rand(shape))
    assert architecture(net.cuda(), torch.rand(shape, device="cuda")) == expected


def test_reading_gradients_does_not_wait_for_the_device():
    weights = {str(index): torch.nn.Parameter(torch.randn(64, 64, device="cuda")) for index in range(8)}
    for weight in weights.values():
        weight.grad = torch.randn_like(weight)
    window = GradientWindow(weights)
    window.add()
    window.end_update()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            window.add()
            window.end_update()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert window.statistics()["0"]["norm"] == pytest.approx(float(weights["0"].grad.norm()), rel=1e-4)


def test_hearing_activations_does_not_wait_for_the_device_and_gives_what_the_cpu_gives():
    batches = [(8 * torch.randn(16, 6, 12, 12)).clamp(0, 6) for _ in range(5)]
    found = {}
    for device in ("cpu", "cuda"):
        given = [batch.to(device) for batch in batches]
        window = ActivationWindow(torch.nn.Sequential(torch.nn.ReLU6()), 80)
        torch.cuda.set_sync_debug_mode("error")
        try:
            for batch in given:
                window.begin(16)
                window.add(LayerRun("0", batch, 1))
                window.end(batch[:, :, 0, 0])
        finally:
            torch.cuda.set_sync_debug_mode("default")
        found[device] = window.statistics()["0"]
        assert window.embedding().shape == (80, 6)
    assert found["cuda"][:6] == pytest.approx(found["cpu"][:6], rel=1e-4)
    assert found["cuda"].histogram.counts.tolist() == found["cpu"].histogram.counts.tolist()


@pytest.mark.parametrize("columns", [1, 7])
def test_counting_classes_does_not_wait_for_the_device(columns):
    images = torch.arange(32.0, device="cuda").reshape(32, 1, 1, 1)
    targets = torch.arange(32, device="cuda") % max(2, columns)
    heard = ScoredBatch(images, targets, torch.randn(32, columns, device="cuda"))
    tally = ClassTally(max_mistakes=4, max_samples=50)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(20):
            tally.add(heard)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert int(tally.counts.sum()) == 20 * 32
    assert len(tally.mistakes.true) == 4
    assert len(tally.samples.true) == 50


def test_ranking_patches_waits_for_nothing_and_finds_what_the_cpu_finds():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randint(-4, 5, (40, 6, 7, 7), generator=generator).float()  # many are equal
    inputs = torch.rand(40, 2, 7, 7, generator=generator)
    axis = Axis.of_image(7).windows(3, 1, 1, 1, 7)
    found = {}
    for device in ("cpu", "cuda"):
        ranking, values, images = PatchRanking(3, 4), maps.to(device), inputs.to(device)
        for first in range(0, 40, 8):
            torch.cuda.set_sync_debug_mode("error" if first else "default")  # the first makes its indices
            try:
                staged = ranking.stage(values[first : first + 8])
                field = ReceptiveField(axis, axis, "geometry")
                ranking.commit(staged, BatchImages(images[first : first + 8]), None, field, first)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        found[device] = ranking.patches()
    for part, expected in zip(found["cuda"], found["cpu"], strict=True):
        np.testing.assert_array_equal(part, expected)
