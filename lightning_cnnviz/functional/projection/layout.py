"""High-dimensional activations in two dimensions: PCA, t-SNE and UMAP."""

from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from lightning_cnnviz.functional.drawing.image import Array, ArrayLike, to_array
from lightning_cnnviz.functional.projection.procrustes import align
from lightning_cnnviz.functional.projection.tsne import tsne, two_columns
from lightning_cnnviz.functional.projection.umap import umap

Method: TypeAlias = Literal["tsne", "pca", "umap"]
METHODS = get_args(Method)
PCA_COMPONENTS = 50
FEWEST_SAMPLES = 5


class Layout(NamedTuple):
    """Where the samples lie.

    Attributes:
        points: Shape (samples, 2), float32; NaN for samples with non-finite activations.
        perplexity: The perplexity that was used; None but for t-SNE.
        divergence: The Kullback-Leibler divergence that t-SNE arrived at; None for the others.
    """

    points: Array
    perplexity: float | None
    divergence: float | None = None


def project(
    activations: ArrayLike,
    *,
    method: Method = "tsne",
    perplexity: float = 30.0,
    init: Array | None = None,
    seed: int = 0,
) -> Layout:
    """Lays samples out in the plane so that similar activations lie near each other.

    Activations are flattened, reduced to 50 dimensions by PCA and then, for t-SNE and UMAP, laid out by these.
    From `init` the layout moves on: no early exaggeration, few iterations, and in the end rotated, mirrored and
    shifted onto it, so that points move instead of jumping and hardly move where the activations have not changed.

    Args:
        activations: Shape (samples, ...), at least 5 samples with finite values.
        method: `"tsne"`, `"pca"` or `"umap"`.
        perplexity: t-SNE's effective number of neighbours; lowered to a third of the samples where there are
            too few. Unused for the others.
        init: The last layout of the same samples, shape (samples, 2); NaN rows start at its median. For PCA
            it settles the signs of the axes, which are arbitrary; the axes stay the first two components.
        seed: Of the randomised parts.

    Raises:
        ImportError: If `method` is `"umap"` and umap-learn is not installed.
        ValueError: If fewer than five samples are finite, all are equal, `method` is unknown or `init` is of
            other samples.

    Example:
        >>> project(np.random.default_rng(0).normal(size=(60, 8)), method="pca").points.shape
        (60, 2)
    """
    if method not in METHODS:
        raise ValueError(f'expected method to be "tsne", "pca" or "umap", got {method!r}')
    if init is not None and len(init) != len(activations):
        raise ValueError(f"expected init to have a row for each of {len(activations)} samples, got {len(init)}")
    components = principal_components(activations, seed=seed)
    finite = np.asarray(np.isfinite(components).all(axis=1))
    reduced = components[finite]
    start = None if init is None or not np.isfinite(init[finite]).all(axis=1).any() else _fill(init[finite])
    used: float | None = None
    divergence: float | None = None
    if method == "pca":
        points = two_columns(reduced)
        if start is not None:
            points = points * np.where((points * start).sum(axis=0) < 0, -1, 1)
    elif method == "umap":
        points = umap(reduced, start, seed)
    else:
        used = min(perplexity, (len(reduced) - 1) / 3)
        points, divergence = tsne(reduced, used, start, seed)
    if init is not None and method != "pca":
        points = align(points, init[finite])
    layout = np.full((len(finite), 2), np.nan, dtype=np.float32)
    layout[finite] = points
    return Layout(layout, used, divergence)


def principal_components(activations: ArrayLike, *, seed: int = 0) -> Array:
    """The first 50 principal components, or as many as there are: for `project` as good as the activations.

    Worth computing once where several layouts of the same activations are to be made.

    Args:
        activations: As in `project`.
        seed: As in `project`.

    Returns:
        Shape (samples, components), float32; NaN for samples with non-finite activations. In units of the activations,
        unless the largest is beyond 2⁴⁰ or below 2⁻⁴⁰: then of a power of two.

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
        raise ValueError(f"the activations of all {len(values)} samples are equal, there is nothing to lay out")
    # Exactly scaled where squares would be infinite, or nothing at all.
    values = np.ldexp(values, _shift(float(np.abs(values).max())))
    count = min(PCA_COMPONENTS, *values.shape)
    components = np.full((len(finite), count), np.nan, dtype=np.float32)
    components[finite] = PCA(count, svd_solver="randomized", random_state=seed).fit_transform(values)
    return components


def _shift(largest: float) -> int:
    exponent = int(np.frexp(largest)[1])
    return -exponent if abs(exponent) > 40 else 0


def _fill(points: Array) -> Array:
    there = np.asarray(np.isfinite(points).all(axis=1, keepdims=True))
    middle = np.median(points[there[:, 0]], axis=0)
    return np.asarray(np.where(there, points, middle), dtype=np.float32)
