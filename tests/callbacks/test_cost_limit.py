"""Costly callbacks draw less often, and the event file stays below its limit."""

import time
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
from helpers.costly import Pause, Slow
from helpers.tiny import TinyNet, events, fit, image_steps, scalars

from lightning_cnnviz import CostLimit, GradientFlow, KernelGrid, cnnviz_callbacks
from lightning_cnnviz.callbacks import VisualCallback


def test_costly_callbacks_draw_less_often_until_the_limit_holds(tmp_path, told):
    slow, cheap = Slow(), KernelGrid(tag="cheap")
    fit(tmp_path, [slow, cheap, CostLimit(max_overhead=0.05)], max_epochs=12)
    assert slow.stretch >= 4
    assert "CostLimit: the callbacks took" in told()
    assert "Slow now draws every 2 epochs" in told()
    drawn = image_steps(tmp_path)["kernels/conv1"]
    assert drawn[:2] == [6, 12]
    assert len(drawn) < 8


MATRIX = np.random.default_rng(0).random((900, 900))


class Elsewhere(VisualCallback):
    """Takes next to nothing on the training thread, and a second or so in the helper process."""

    def drawings(self, trainer, module):
        yield f"{self.tag}/values", partial(np.linalg.svd, MATRIX)


class Rest(pl.Callback):
    """Half a second at the end of each epoch, in which the helper gets on."""

    def on_train_epoch_end(self, trainer, pl_module):
        time.sleep(0.5)


def test_the_helper_counts_too(tmp_path, told):
    elsewhere = Elsewhere(tag="elsewhere")
    fit(tmp_path, [elsewhere, Rest(), CostLimit(max_overhead=0.02)], max_epochs=8)
    assert elsewhere.account.background > 2 * elsewhere.account.seconds
    assert elsewhere.stretch > 1
    assert "their helper included; the limit is 2.0%; Elsewhere now draws every 2 epochs" in told()


def test_the_interval_is_the_users_again_in_the_next_run(tmp_path):
    slow = Slow()
    fit(tmp_path / "a", [slow, CostLimit(max_overhead=0.01)], max_epochs=3)
    assert slow.stretch > 1
    fit(tmp_path / "b", [slow], max_epochs=3)
    assert image_steps(tmp_path / "b")["kernels/conv1"] == [6, 12, 18]


def test_cheap_callbacks_are_left_alone(tmp_path, told):
    kernels = KernelGrid()
    for name, limit in (("both", {"max_event_mb": 1000}), ("time", {}), ("bytes", {"max_event_mb": 1000})):
        overhead = None if name == "bytes" else 0.99
        fit(tmp_path / name, [kernels, CostLimit(max_overhead=overhead, **limit)], max_epochs=3)
        assert kernels.stretch == 1
    assert "CostLimit" not in told()


def test_the_event_file_grows_no_further_than_it_may(tmp_path, told):
    kernels = KernelGrid(every_n_train_steps=1)
    fit(tmp_path, [kernels, Pause(), CostLimit(max_overhead=None, max_event_mb=0.05)], max_epochs=10)
    pictures = [event for tag in image_steps(tmp_path) for event in events(tmp_path).Images(tag)]
    assert 20_000 < sum(len(event.encoded_image_string) for event in pictures) < 50_000
    assert "of 0.05 MB used; KernelGrid now draws every 2 steps" in told()
    assert kernels.stretch >= 4
    assert len(scalars(tmp_path, "cnnviz/cost/KernelGrid")) >= len(image_steps(tmp_path)["kernels/conv1"])


def test_a_full_event_file_says_so_and_takes_numbers_only(tmp_path, told):
    flow = GradientFlow(every_n_train_steps=2)
    fit(tmp_path, [flow, Pause(), CostLimit(max_overhead=None, max_event_mb=0.001)], max_epochs=4)
    assert image_steps(tmp_path) == {}
    assert "the event file has reached its limit of 0.001 MB" in told()
    assert len(scalars(tmp_path, "gradient_flow/conv1/norm")) >= 2
    assert flow.account.dropped >= 2


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_overhead": 0}, "between 0 and 1, got 0"),
        ({"max_overhead": 5}, "between 0 and 1, got 5"),
        ({"max_event_mb": 0}, "above 0, got 0"),
        ({"max_overhead": None}, "got neither"),
    ],
)
def test_impossible_limits_fail_at_once(limits, words):
    with pytest.raises(ValueError, match=words):
        CostLimit(**limits)


def test_limits_are_options_of_the_presets():
    limit = cnnviz_callbacks("minimal", max_event_mb=50)[-1]
    assert (limit.max_overhead, limit.max_event_mb) == (None, 50)
    assert not [callback for callback in cnnviz_callbacks() if isinstance(callback, CostLimit)]


def test_a_model_that_is_limited_is_trained_as_without(tmp_path):
    results = []
    for name, limit in (("a", []), ("b", [CostLimit(max_overhead=0.001)])):
        run = fit(tmp_path / name, [Slow(), *limit], model=TinyNet, max_epochs=4)
        results.append([parameter.detach().clone() for parameter in run.lightning_module.parameters()])
    assert all(bool((one == other).all()) for one, other in zip(*results, strict=True))
