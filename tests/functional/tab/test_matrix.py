"""The weights of linear layers in the tab: all of them, or means over blocks, with the range of each unit."""

import numpy as np
import pytest
import torch

from lightning_cnnviz.functional.tab.matrix import matrix_tab_data, select_matrix


@pytest.mark.parametrize(("shape", "block"), [((3, 5), (1, 1)), ((128, 400), (2, 5)), ((300, 130), (4, 2))])
def test_values_are_means_over_blocks_and_ranges_those_of_the_units(shape, block):
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    record = matrix_tab_data(select_matrix(weight), "fc")
    rows, columns = -(-shape[0] // block[0]), -(-shape[1] // block[1])
    assert (record.kind, record.info["block"], record.info["shape"]) == ("weights", list(block), list(shape))
    assert record.info["channels"] == list(range(0, shape[0], block[0]))
    assert record.arrays["values"].shape == (rows, columns)
    for row in range(0, rows, 17):
        units = weight[row * block[0] : (row + 1) * block[0]].double()
        assert record.arrays["low"][row] == pytest.approx(float(units.min()), rel=1e-6)
        assert record.arrays["high"][row] == pytest.approx(float(units.max()), rel=1e-6)
        for column in range(0, columns, 13):
            mean = units[:, column * block[1] : (column + 1) * block[1]].mean()
            assert record.arrays["values"][row, column] == pytest.approx(float(mean), abs=2e-3)


def test_a_weight_that_is_not_finite_is_seen():
    weight = torch.ones(200, 300)
    weight[7, 250] = float("nan")
    selection = select_matrix(weight)
    assert np.argwhere(np.isnan(selection.values)).tolist() == [[2, 62]]
    assert np.flatnonzero(np.isnan(selection.high)).tolist() == [2]
