"""Weights of normalisation layers in the tab."""

import numpy as np
import pytest
import torch

from lightning_cnnviz.functional.tab.normalization import normalization_tab_data, select_normalization
from lightning_cnnviz.output.owned import owned_bytes


def test_rows_are_the_quantities_with_their_ranges():
    values = {name: torch.randn(7, dtype=torch.float64) for name in ("weight", "bias", "running_var")}
    record = normalization_tab_data(select_normalization(values), "norm")
    assert record.info == {"channels": list(range(7)), "quantities": list(values), "shape": [7]}
    for row, exact in enumerate(values.values()):
        np.testing.assert_allclose(record.arrays["values"][row], exact, rtol=1e-6)
        assert record.arrays["low"][row] == pytest.approx(float(exact.min()))
        assert record.arrays["high"][row] == pytest.approx(float(exact.max()))


@pytest.mark.parametrize("shape", [(700,), (8, 100), (2000, 3, 2)])
def test_the_first_512_are_kept_flattened_and_nothing_else_is_held(shape):
    weight = torch.randn(shape)
    selection = select_normalization({"weight": weight})
    record = normalization_tab_data(selection, "norm")
    np.testing.assert_array_equal(record.arrays["values"][0], weight.flatten()[:512])
    assert (record.info["channels"], record.info["shape"]) == (list(range(512)), list(shape))
    assert owned_bytes(selection) == 512 * 4


def test_what_is_not_finite_stays_so_and_has_no_part_in_the_range():
    record = normalization_tab_data(select_normalization({"weight": torch.tensor([1, float("nan"), 3])}), "norm")
    np.testing.assert_array_equal(record.arrays["values"][0], [1, np.nan, 3])
    assert (record.arrays["low"].tolist(), record.arrays["high"].tolist()) == ([1], [3])
