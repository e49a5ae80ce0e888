"""In how many directions activations vary."""

import numpy as np

from lightning_cnnviz.functional.drawing.image import ArrayLike, to_array


def effective_rank(values: ArrayLike) -> float:
    """Returns the effective rank of a matrix: the exponential of the entropy of its normalised singular values.

    Between 1, where all rows are multiples of one, and the number of rows or columns, where no direction prevails.

    Args:
        values: Shape (samples, features).

    Returns:
        The effective rank; NaN if all values are zero or some are not finite.

    Reference:
        Roy and Vetterli, The effective rank: a measure of effective dimensionality, EUSIPCO 2007.

    Example:
        >>> effective_rank(np.eye(4)), round(effective_rank(np.ones((4, 3))), 6)
        (4.0, 1.0)
    """
    matrix = to_array(values).astype(np.float64)
    if not np.isfinite(matrix).all() or not matrix.any():
        return float("nan")
    singular = np.linalg.svd(matrix, compute_uv=False)
    shares = singular / singular.sum()
    positive = shares[shares > 0]
    return float(np.exp(-(positive * np.log(positive)).sum()))
