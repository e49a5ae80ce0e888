import math

import pytest

from recipes.errors import RecipeError
from recipes.records import differences, save_metrics, saved_config, saved_metrics


def test_metrics_survive_to_the_last_bit(tmp_path):
    metrics = {"test_loss": 0.1 + 0.2, "test_acc": 2 / 3, "tiny": math.ulp(0.0)}
    save_metrics(tmp_path, metrics)
    assert saved_metrics(tmp_path) == metrics


def test_differences_are_found_to_the_last_bit():
    assert differences({"a": 0.3}, {"a": 0.1 + 0.2}) == ["a: 0.3 recorded, 0.30000000000000004 now"]
    assert differences({"a": 1.0}, {"b": 2.0}) == ["a: 1.0 recorded, missing now", "b: missing recorded, 2.0 now"]
    assert differences({"a": 0.5, "b": math.nan}, {"b": math.nan, "a": 0.5}) == []


@pytest.mark.parametrize("text", ["a: [1", "42", "", "\x00"])
def test_a_broken_configuration_is_named_in_one_line(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"config\.yaml cannot be read") as raised:
        saved_config(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_run_that_did_not_end_has_nothing_to_compare_with(tmp_path):
    with pytest.raises(RecipeError, match="did not finish"):
        saved_metrics(tmp_path)
    (tmp_path / "metrics.json").write_text('{"test_acc": 0.9')
    with pytest.raises(RecipeError, match=r"metrics\.json cannot be read"):
        saved_metrics(tmp_path)
