"""A histogram knows where its bins are."""

import numpy as np
import pytest

from lightning_cnnviz.functional.activations.histogram import Histogram


@pytest.mark.parametrize(("low", "high", "bins"), [(0.0, 1.0, 4), (-3.5, 2.25, 64), (7.0, 7.0, 1)])
def test_bins_of_one_width_go_from_the_smallest_to_the_largest_value(low, high, bins):
    edges = Histogram(np.ones(bins), low, high, bins, 0.0, 0.0).edges()
    assert (edges[0], edges[-1], len(edges)) == (low, high, bins + 1)
    np.testing.assert_allclose(np.diff(edges), (high - low) / bins, atol=1e-12)
