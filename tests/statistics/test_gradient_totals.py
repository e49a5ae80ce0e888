"""Sums with a mask per step: whatever takes part, all of it counts once."""

import numpy as np
import pytest
import torch

from lightning_cnnviz.statistics.gradient_totals import GradientTotals, spread
from lightning_cnnviz.statistics.step_buffer import MAX_ELEMENTS


@pytest.mark.parametrize("largest", [40, MAX_ELEMENTS // 2 + 1], ids=["buffered", "read at once"])
@pytest.mark.parametrize("scale", [None, 1024.0])
def test_sums_are_over_the_steps_in_which_each_takes_part(largest, scale):
    rng = np.random.default_rng(0)
    shapes = [(largest,), (3, 4), (5,)]
    totals = GradientTotals([torch.zeros(shape) for shape in shapes])
    steps = [[], [], []]
    for number in range(10 if largest > 40 else 80):
        rows = [row for row in range(3) if rng.random() < 0.6 or number == 0]
        gradients = [torch.from_numpy(rng.normal(size=shapes[row])).float() for row in rows]
        if number % 7 == 3:
            gradients[-1:] = [gradient.index_fill(0, torch.tensor([1]), np.inf) for gradient in gradients[-1:]]
        for row, gradient in zip(rows, gradients, strict=True):
            steps[row].append(gradient.double().numpy())
        factor = 1 if scale is None else scale
        given = [gradient * factor for gradient in gradients]
        if rows:
            totals.add(rows, given, None if scale is None else torch.tensor(scale))
    found = {name: values.tolist() for name, values in totals.read().items()}
    assert sum(found["non_finite"]) > 0
    for row, of_row in enumerate(steps):
        finite = [gradient for gradient in of_row if np.isfinite(gradient).all()]
        assert found["steps"][row] == len(of_row)
        assert found["finite_steps"][row] == found["finite_norms"][row] == len(finite)
        assert found["non_finite"][row] == sum((~np.isfinite(gradient)).sum() for gradient in of_row)
        assert found["sum_abs"][row] == pytest.approx(sum(np.abs(gradient).sum() for gradient in finite), rel=1e-5)
        assert found["norm"][row] == pytest.approx(sum(np.linalg.norm(gradient) for gradient in finite), rel=1e-5)
        assert found["max_abs"][row] == pytest.approx(max(np.abs(gradient).max() for gradient in finite), rel=1e-5)


def test_a_new_window_has_nothing_of_the_old():
    totals = GradientTotals([torch.zeros(2)])
    for _ in range(5):
        totals.add([0], [torch.ones(2)])
    totals.clear()
    assert totals.read() == {}
    totals.add([0], [torch.ones(2)])
    assert totals.read()["sum_abs"].tolist() == [2]


def test_values_are_spread_over_a_table_with_a_mask():
    table, mask = spread(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), rows=[2, 0], steps=[0, 1], shape=(2, 3))
    assert table.tolist() == [[[0, 0], [0, 0], [1, 2]], [[3, 4], [0, 0], [0, 0]]]
    assert mask.tolist() == [[False, False, True], [True, False, False]]
