import pytest
import torch

from lightning_cnnviz.statistics.curve_sources import COMPUTED, CurveSources

KINDS = [(quantity, stage) for quantity in ("loss", "accuracy") for stage in ("train", "val")]
TRAIN, VAL = ("accuracy", "train"), ("accuracy", "val")


def sources(**asked):
    return CurveSources({(quantity, stage): asked.get(f"{stage}_{quantity}") for quantity, stage in KINDS})


def logged(**values):
    return {name: torch.tensor(value) for name, value in values.items()}


def test_a_logged_metric_comes_before_what_is_computed():
    found = sources()
    assert found.value(VAL, logged(val_acc=0.5), {"accuracy": 0.4}) == 0.5
    assert found.names("accuracy") == {"val": "val_acc"}
    assert not found.computes_accuracy("val")


def test_what_is_not_logged_is_computed():
    found = sources()
    assert found.value(VAL, {}, {"accuracy": 0.4}) == 0.4
    assert found.names("accuracy") == {"val": COMPUTED}
    assert found.computes_accuracy("val")


def test_an_epoch_that_does_not_log_the_metric_has_no_point():
    found = sources()
    values = [found.value(VAL, fresh, {"accuracy": 0.1}) for fresh in (logged(val_acc=0.5), {}, logged(val_acc=0.75))]
    assert values == [0.5, None, 0.75]


def test_a_curve_keeps_to_its_source():
    found = sources()
    assert found.value(VAL, {}, {"accuracy": 0.4}) == 0.4
    assert found.value(VAL, logged(val_macro_acc=0.9), {"accuracy": 0.5}) == 0.5


def test_both_stages_show_one_variant():
    found = sources()
    assert found.value(VAL, logged(val_macro_acc=0.5), {"accuracy": 0.6}) == 0.5
    assert found.value(TRAIN, logged(train_acc=0.7), {"accuracy": 0.7}) is None  # a plain one beside a macro average
    assert found.value(TRAIN, logged(train_acc=0.7, train_macro_acc=0.25), {"accuracy": 0.7}) == 0.25


def test_beside_a_computed_accuracy_only_a_plain_one_is_shown():
    found = sources()
    found.value(VAL, {}, {"accuracy": 0.6})
    assert found.value(TRAIN, logged(train_balanced_acc=0.5), {"accuracy": 0.75}) == 0.75


@pytest.mark.parametrize("early", [0.009, 0.86])
def test_what_is_logged_in_percent_has_the_computed_in_percent_beside_it(early):
    found = sources()
    assert found.value(VAL, logged(val_acc=100 * early), {"accuracy": early}) == pytest.approx(100 * early)
    assert found.percent
    assert found.value(TRAIN, {}, {"accuracy": 0.5}) == 50.0


def test_fractions_stay_fractions():
    found = sources()
    assert found.value(VAL, logged(val_acc=1.0), {"accuracy": 1.0}) == 1.0
    assert found.value(TRAIN, {}, {"accuracy": 0.5}) == 0.5
    assert not found.percent


def test_a_metric_that_was_asked_for_is_taken_whatever_its_name():
    found = sources(val_accuracy="val/top5")
    assert found.value(VAL, logged(**{"val/top5": 0.5, "val_acc": 0.25}), {"accuracy": 0.25}) == 0.5
    assert found.value(VAL, logged(val_acc=0.25), {"accuracy": 0.25}) is None
    assert not found.computes_accuracy("val")


def test_a_resumed_run_keeps_its_sources():
    first = sources()
    first.value(VAL, {}, {"accuracy": 0.4})
    again = sources()
    again.load_state_dict(first.state_dict())
    assert again.value(VAL, logged(val_acc=0.5), {"accuracy": 0.4}) == 0.4
    asked = sources(val_accuracy="val_acc")
    asked.load_state_dict(first.state_dict())
    assert asked.value(VAL, logged(val_acc=0.5), {"accuracy": 0.4}) == 0.5
