"""What callbacks cost: measured, told, limited."""

import re
import time

import pytest
from pytorch_lightning import Callback
from tiny import TinyNet, events, fit, image_steps, scalars

from lightning_cnnviz import CostLimit, GradientFlow, KernelGrid, LossAccuracy, cnnviz_callbacks
from lightning_cnnviz.costs import Ledger


class Slow(KernelGrid):
    """Takes its time on the training thread."""

    def _drawings(self, trainer, module):
        time.sleep(0.2)
        return super()._drawings(trainer, module)


class Pause(Callback):
    """Trains slowly enough for the pictures of a step to be written before the next."""

    def on_train_batch_end(self, *_):
        time.sleep(0.05)


def test_the_cost_of_a_picture_is_the_time_it_took_on_the_training_thread(tmp_path):
    fit(tmp_path, [Slow()], max_epochs=3)
    milliseconds = [value for _, value in scalars(tmp_path, "cnnviz/cost/Slow")]
    assert len(milliseconds) == 3
    assert all(200 <= value < 5000 for value in milliseconds)
    shares = [value for _, value in scalars(tmp_path, "cnnviz/cost_share/Slow")]
    assert all(0 < share <= 1 for share in shares)


def test_one_table_says_what_it_all_cost(tmp_path, told):
    fit(tmp_path, [Slow(), LossAccuracy(), KernelGrid(tag="again"), KernelGrid()])
    (table,) = re.findall(r"callback +pictures +ms/step.*?together[^\n]*", told(), re.DOTALL)
    rows = {row.split()[0]: row.split()[1:] for row in table.splitlines()}
    assert set(rows) == {"callback", "Slow", "LossAccuracy", "KernelGrid", "KernelGrid-2", "together"}
    assert list(rows)[1] == "Slow"  # the costliest comes first
    pictures = {name: int(cells[0]) for name, cells in rows.items() if name != "callback"}
    steps = image_steps(tmp_path)
    assert pictures["KernelGrid"] == sum(len(steps[tag]) for tag in steps if tag.startswith("again/"))
    assert pictures["together"] == sum(map(len, steps.values()))
    logged = sum(value for _, value in scalars(tmp_path, "cnnviz/cost/Slow"))
    assert float(rows["Slow"][1]) == pytest.approx(logged / 12, rel=0.2)  # beside it what came before the first step
    encoded = sum(len(event.encoded_image_string) for tag in steps for event in events(tmp_path).Images(tag))
    assert 0 <= float(rows["together"][3]) - encoded / 1e6 < 0.05


def test_without_a_step_there_is_no_table():
    ledger = Ledger()
    ledger.open("KernelGrid")
    ledger.begin(5)
    ledger.end(5)
    assert ledger.table() == ""


def test_costly_callbacks_draw_less_often_until_the_limit_holds(tmp_path, told):
    slow, flow = Slow(), GradientFlow()
    fit(tmp_path, [slow, flow, CostLimit(max_overhead=0.3)], max_epochs=12)
    assert slow.stretch >= 4
    assert "CostLimit: the callbacks took" in told()
    assert "Slow now draws every 2 epochs" in told()
    drawn = image_steps(tmp_path)["kernels/conv1"]
    assert drawn[:2] == [6, 12]
    assert len(drawn) < 8


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
    assert 25_000 < sum(len(event.encoded_image_string) for event in pictures) < 50_000
    assert "of 0.05 MB of the event file are written; KernelGrid now draws every 2 steps" in told()
    assert kernels.stretch >= 4
    assert len(scalars(tmp_path, "cnnviz/cost/KernelGrid")) >= len(image_steps(tmp_path)["kernels/conv1"])


def test_a_full_event_file_says_so_and_takes_numbers_only(tmp_path, told):
    flow = GradientFlow(every_n_train_steps=2)
    fit(tmp_path, [flow, Pause(), CostLimit(max_overhead=None, max_event_mb=0.001)], max_epochs=4)
    assert image_steps(tmp_path) == {}
    assert "the event file may take 0.001 MB and is full" in told()
    assert len(scalars(tmp_path, "gradient_flow/conv1/norm")) >= 2
    assert flow.account.dropped >= 2


def test_the_notice_of_hidden_pictures_comes_once_and_names_the_flag(tmp_path, told):
    fit(tmp_path, [KernelGrid(every_n_train_steps=1)])
    assert told().count("--samples_per_plugin images=") == 1
    assert str(tmp_path) in told()


def test_ten_pictures_need_no_notice(tmp_path, told):
    fit(tmp_path, [KernelGrid()], max_epochs=10)
    assert "samples_per_plugin" not in told()


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
