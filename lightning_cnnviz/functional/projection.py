"""High-dimensional activations in two dimensions: PCA and t-SNE."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from openTSNE import TSNEEmbedding, affinity, initialization
from sklearn.decomposition import PCA

from lightning_cnnviz.functional.figure import Floats
from lightning_cnnviz.functional.image import Array, ArrayLike, Picture, to_array
from lightning_cnnviz.functional.scatter import scatter_chart
from lightning_cnnviz.functional.separation import Separation, separation

Method: TypeAlias = Literal["tsne", "pca"]
METHODS = get_args(Method)
PCA_COMPONENTS = 50
FEWEST_SAMPLES, FEW_SAMPLES = 5, 100
LEAST_SPAN = 0.01
"""Of a t-SNE layout to begin with: a smaller one is a single point, from which none comes apart again."""


class Layout(NamedTuple):
    """Where the samples lie.

    Attributes:
        points: Shape (samples, 2), float32; NaN for samples with non-finite activations.
        perplexity: The perplexity that was used; None for PCA.
    """

    points: Array
    perplexity: float | None


def project(
    activations: ArrayLike,
    *,
    method: Method = "tsne",
    perplexity: float = 30.0,
    init: Array | None = None,
    seed: int = 0,
) -> Layout:
    """Lays samples out in the plane so that similar activations lie near each other.

    Activations are flattened, reduced to 50 dimensions by PCA and then, for t-SNE, embedded by openTSNE with
    exact neighbours and the Barnes-Hut gradient. From `init` the embedding moves on: no early exaggeration
    and few iterations, so that points move instead of jumping.

    Args:
        activations: Shape (samples, ...), at least 5 samples with finite values.
        method: `"tsne"` or `"pca"`.
        perplexity: t-SNE's effective number of neighbours; lowered to a third of the samples where there are
            too few. Unused for PCA.
        init: The last layout of the same samples, shape (samples, 2); NaN rows start at its median. For PCA
            it settles the signs of the axes, which are arbitrary.
        seed: Of the randomised parts.

    Raises:
        ValueError: If fewer than five samples are finite, all are equal, `method` is unknown or `init` is of
            other samples.

    References:
        van der Maaten and Hinton: Visualizing Data using t-SNE. JMLR 9 (2008).
        Poličar et al.: openTSNE. Journal of Statistical Software 109 (2024).

    Example:
        >>> project(np.random.default_rng(0).normal(size=(60, 8)), method="pca").points.shape
        (60, 2)
    """
    if method not in METHODS:
        raise ValueError(f'expected method to be "tsne" or "pca", got {method!r}')
    if init is not None and len(init) != len(activations):
        raise ValueError(f"expected init to have a row for each of {len(activations)} samples, got {len(init)}")
    components = principal_components(activations, seed=seed)
    finite = np.asarray(np.isfinite(components).all(axis=1))
    reduced = components[finite]
    start = None if init is None or not np.isfinite(init[finite]).all(axis=1).any() else _fill(init[finite])
    used: float | None = None
    if method == "pca":
        flat = _two_columns(reduced)
        points = flat if start is None else flat * np.where((flat * start).sum(axis=0) < 0, -1, 1)
    else:
        used = min(perplexity, (len(reduced) - 1) / 3)
        points = _tsne(reduced, used, start, seed)
    layout = np.full((len(finite), 2), np.nan, dtype=np.float32)
    layout[finite] = points
    return Layout(layout, used)


def principal_components(activations: ArrayLike, *, seed: int = 0) -> Array:
    """The first 50 principal components, or as many as there are: for `project` as good as the activations.

    Worth computing once where several layouts of the same activations are to be made.

    Args:
        activations: As in `project`.
        seed: As in `project`.

    Returns:
        Shape (samples, components), float32; NaN for samples with non-finite activations.

    Raises:
        ValueError: If fewer than five samples are finite or all are equal.

    Example:
        >>> principal_components(np.random.default_rng(0).normal(size=(60, 4, 8, 8))).shape
        (60, 50)
    """
    values = to_array(activations).reshape(len(activations), -1)
    finite = np.asarray(np.isfinite(values).all(axis=1))
    if finite.sum() < FEWEST_SAMPLES:
        raise ValueError(f"expected at least {FEWEST_SAMPLES} samples with finite activations, got {finite.sum()}")
    values = values[finite]
    if (values == values[0]).all():
        raise ValueError(f"the activations of all {len(values)} samples are equal, there is nothing to lay out")
    count = min(PCA_COMPONENTS, *values.shape)
    components = np.full((len(finite), count), np.nan, dtype=np.float32)
    components[finite] = PCA(count, svd_solver="randomized", random_state=seed).fit_transform(values)
    return components


def _tsne(values: Floats, perplexity: float, start: Array | None, seed: int) -> Floats:
    affinities = affinity.PerplexityBasedNN(values, perplexity, method="exact", random_state=seed, n_jobs=1)
    if start is not None and np.ptp(start, axis=0).max() < LEAST_SPAN:
        start = None
    first = start is None
    embedding = TSNEEmbedding(
        initialization.rescale(_two_columns(values).copy()) if start is None else start.astype(float),
        affinities,
        negative_gradient_method="bh",
        learning_rate="auto",
        n_jobs=1,
        random_state=seed,
    )
    if first:
        strength = 12 if len(values) >= FEW_SAMPLES else 4  # few samples would be drawn into one point
        embedding.optimize(250, exaggeration=strength, momentum=0.5, inplace=True)
    embedding.optimize(500 if first else 100, momentum=0.8, inplace=True)
    return np.asarray(embedding)


def _two_columns(values: Floats) -> Floats:
    return np.pad(values[:, :2], ((0, 0), (0, max(0, 2 - values.shape[1]))))


def _fill(points: Array) -> Array:
    there = np.asarray(np.isfinite(points).all(axis=1, keepdims=True))
    middle = np.median(points[there[:, 0]], axis=0)
    return np.asarray(np.where(there, points, middle), dtype=np.float32)


def projection_chart(
    layout: Layout,
    labels: npt.NDArray[np.intp],
    class_names: Sequence[str],
    *,
    method: Method,
    numbers: Separation | None = None,
    title: str = "",
) -> Picture:
    """Draws a layout: classes in colours with their names at their medians, and what it is in words.

    Args:
        layout: From `project`.
        labels: Shape (samples,), class numbers; negative where unknown.
        class_names: A name for each class number.
        method: How the layout was made.
        numbers: From `separation`, where they are known already.
        title: First line, e.g. layer, epoch and step.

    Returns:
        Height × width × 3, uint8. The second line gives method, number of samples, and k-NN accuracy and
        silhouette of the layout where they are defined.

    Example:
        >>> layout = Layout(np.random.default_rng(0).normal(size=(20, 2)), None)
        >>> projection_chart(layout, np.repeat([0, 1], 10), ["cat", "dog"], method="pca").shape
        (700, 750, 3)
    """
    shown = int(np.isfinite(layout.points).all(axis=1).sum())
    left_out = len(layout.points) - shown
    words = [
        method_words(method, [layout]),
        f"{shown} samples",
        *(numbers or separation(layout.points, labels)).in_words(),
    ]
    lines = [title, " · ".join(words), f"{left_out} samples with non-finite activations left out" if left_out else ""]
    return scatter_chart(layout.points, labels, class_names, title="\n".join(filter(None, lines)))


def method_words(method: Method, layouts: Sequence[Layout]) -> str:
    """A method in words, with the perplexity of its layouts.

    Example:
        >>> method_words("tsne", [Layout(np.zeros((99, 2)), 30.0)])
        't-SNE (perplexity 30)'
    """
    used = dict.fromkeys(f"{layout.perplexity:.3g}" for layout in layouts if layout.perplexity is not None)
    return "PCA" if method == "pca" else f"t-SNE (perplexity {', '.join(used)})"
