"""Dimensionality reduction of activations to the plane by PCA, t-SNE or UMAP."""

from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from lightning_cnnviz.functional.drawing.image import Array, ArrayLike, to_array
from lightning_cnnviz.functional.projection.procrustes import align
from lightning_cnnviz.functional.projection.tsne import Origin, tsne, two_columns
from lightning_cnnviz.functional.projection.umap import umap

Method: TypeAlias = Literal["tsne", "pca", "umap"]
METHODS = get_args(Method)
PCA_COMPONENTS = 50
"""Maximum number of principal components passed to t-SNE and UMAP."""
FEWEST_SAMPLES = 5
"""Minimum number of samples in a layout."""


class Layout(NamedTuple):
    """Positions of samples in the plane.

    Attributes:
        points: Shape (samples, 2), float32; NaN for samples with non-finite activations.
        perplexity: The perplexity used by t-SNE; None for other methods.
        divergence: The final Kullback-Leibler divergence of t-SNE; None for other methods.
        origin: Whether t-SNE `"continued"` from the previous layout or began `"anew"` because the activations had
            changed too much; `"first"` if there was none; None for other methods.
    """

    points: Array
    perplexity: float | None
    divergence: float | None = None
    origin: Origin | None = None


def project(
    activations: ArrayLike,
    *,
    method: Method = "tsne",
    perplexity: float = 30.0,
    init: Array | None = None,
    seed: int = 0,
) -> Layout:
    """Projects activations to the plane so that samples with similar activations are close to each other.

    Activations are flattened and reduced to 50 dimensions by PCA, followed by t-SNE or UMAP if selected. With `init`,
    the previous layout is refined without early exaggeration, and finally aligned with it by rotation, reflection and
    translation. Points then move instead of jumping, and hardly move if the activations have not changed. Where they
    have changed too much for that, t-SNE begins anew, as without `init`, and the new layout is aligned with the
    previous one. `Layout.origin` tells which it was.

    Args:
        activations: Shape (samples, ...), at least 5 samples with finite values.
        method: `"tsne"`, `"pca"` or `"umap"`.
        perplexity: Effective number of neighbours in t-SNE, reduced to a third of the samples if there are too few.
            Ignored by the other methods.
        init: The previous layout of the same samples, shape (samples, 2); NaN rows start at its median. For PCA, it
            only determines the signs of the axes, which are otherwise arbitrary.
        seed: Seed of the randomised parts.

    Raises:
        ImportError: If `method` is `"umap"` and umap-learn is not installed.
        ValueError: If fewer than five samples are finite, all are equal, `method` is unknown, or the number of rows
            of `init` differs.

    Example:
        >>> project(np.random.default_rng(0).normal(size=(60, 8)), method="pca").points.shape
        (60, 2)
    """
    if method not in METHODS:
        raise ValueError(f'expected method to be "tsne", "pca" or "umap", got {method!r}')
    if init is not None and len(init) != len(activations):
        raise ValueError(f"expected init to have one row for each of {len(activations)} samples, got {len(init)}")
    components = principal_components(activations, seed=seed)
    finite = np.asarray(np.isfinite(components).all(axis=1))
    reduced = components[finite]
    start = None if init is None or not np.isfinite(init[finite]).all(axis=1).any() else _fill_nan(init[finite])
    used: float | None = None
    divergence: float | None = None
    origin: Origin | None = None
    if method == "pca":
        points = two_columns(reduced)
        if start is not None:
            points = points * np.where((points * start).sum(axis=0) < 0, -1, 1)
    elif method == "umap":
        points = umap(reduced, start, seed)
    else:
        used = min(perplexity, (len(reduced) - 1) / 3)
        points, divergence, origin = tsne(reduced, used, start, seed)
    if init is not None and method != "pca":
        points = align(points, init[finite])
    layout = np.full((len(finite), 2), np.nan, dtype=np.float32)
    layout[finite] = points
    return Layout(layout, used, divergence, origin)


def principal_components(activations: ArrayLike, *, seed: int = 0) -> Array:
    """Computes the first 50 principal components (or as many as exist), which `project` accepts as activations.

    Saves time when several layouts of the same activations are computed.

    Args:
        activations: As in `project`.
        seed: As in `project`.

    Returns:
        Shape (samples, components), float32; NaN for samples with non-finite activations. The scale is that of the
        activations, unless the largest magnitude is above 2⁴⁰ or below 2⁻⁴⁰: then they are scaled by a power of two.

    Raises:
        ValueError: If fewer than five samples are finite or all are equal.

    Example:
        >>> principal_components(np.random.default_rng(0).normal(size=(60, 4, 8, 8))).shape
        (60, 50)
    """
    from sklearn.decomposition import PCA

    values = to_array(activations).reshape(len(activations), -1)
    finite = np.asarray(np.isfinite(values).all(axis=1))
    if finite.sum() < FEWEST_SAMPLES:
        raise ValueError(f"expected at least {FEWEST_SAMPLES} samples with finite activations, got {finite.sum()}")
    values = values[finite]
    if (values == values[0]).all():
        raise ValueError(f"the activations of all {len(values)} samples are equal and cannot be projected")
    # Scaled (without rounding) where squares would overflow or underflow.
    values = np.ldexp(values, _shift(float(np.abs(values).max())))
    count = min(PCA_COMPONENTS, *values.shape)
    components = np.full((len(finite), count), np.nan, dtype=np.float32)
    components[finite] = PCA(count, svd_solver="randomized", random_state=seed).fit_transform(values)
    return components


def _shift(largest: float) -> int:
    exponent = int(np.frexp(largest)[1])
    return -exponent if abs(exponent) > 40 else 0


def _fill_nan(points: Array) -> Array:
    finite = np.asarray(np.isfinite(points).all(axis=1, keepdims=True))
    median = np.median(points[finite[:, 0]], axis=0)
    return np.asarray(np.where(finite, points, median), dtype=np.float32)
