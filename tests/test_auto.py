"""The factory that every Trainer calls: nothing unless it is asked for, and then only where nobody else draws."""

import subprocess
import sys

import pytest
from helpers.tiny import fit, image_steps

from lightning_cnnviz import CostLimit, Diagnosis, KernelGrid, auto, cnnviz_callbacks
from lightning_cnnviz.callbacks.base import VisualCallback


@pytest.mark.parametrize("value", [None, "", "0", "true", "yes", " 1", "11"])
def test_nothing_comes_unless_the_switch_is_one(value, monkeypatch):
    if value is None:
        monkeypatch.delenv(auto.SWITCH, raising=False)
    else:
        monkeypatch.setenv(auto.SWITCH, value)
    assert auto.callbacks() == []


def test_asked_for_it_is_the_standard_preset_and_every_visual_knows_that_it_came_by_itself(monkeypatch):
    monkeypatch.setenv(auto.SWITCH, "1")
    made = auto.callbacks()
    assert [type(callback) for callback in made] == [type(callback) for callback in cnnviz_callbacks()]
    visuals = [callback for callback in made if isinstance(callback, (VisualCallback, Diagnosis))]
    assert len(visuals) == len(made)
    assert all(callback.auto for callback in visuals)
    assert not any(callback.auto for callback in cnnviz_callbacks())


def test_each_call_makes_callbacks_of_its_own(monkeypatch):
    monkeypatch.setenv(auto.SWITCH, "1")
    first, second = auto.callbacks(), auto.callbacks()
    assert not any(one is other for one in first for other in second)


def test_in_a_checkpoint_they_are_others_than_those_that_a_user_added(monkeypatch):
    monkeypatch.setenv(auto.SWITCH, "1")
    automatic = {callback.state_key for callback in auto.callbacks()}
    assert not automatic & {callback.state_key for callback in cnnviz_callbacks()}


def test_asking_costs_no_import_of_torch_or_lightning():
    code = "import sys; from lightning_cnnviz import auto; auto.callbacks(); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize("extra", [[], [CostLimit()]], ids=["alone", "with a limit"])
def test_they_draw_where_nobody_else_does(extra, monkeypatch, tmp_path):
    monkeypatch.setenv(auto.SWITCH, "1")
    made = [callback for callback in auto.callbacks() if isinstance(callback, KernelGrid)]
    monkeypatch.delenv(auto.SWITCH)
    fit(tmp_path, [*made, *extra], max_epochs=1)
    assert image_steps(tmp_path) == {"kernels/conv1": [6], "kernels/conv2": [6]}


def test_they_yield_to_a_visual_that_was_given(monkeypatch, tmp_path):
    monkeypatch.setenv(auto.SWITCH, "1")
    made = [callback for callback in auto.callbacks() if isinstance(callback, KernelGrid)]
    monkeypatch.delenv(auto.SWITCH)
    fit(tmp_path, [*made, KernelGrid(tag="mine", layers="conv1")], max_epochs=1)
    assert image_steps(tmp_path) == {"mine/conv1": [6]}
