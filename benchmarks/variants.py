"""What of ours is measured."""

import pytorch_lightning as pl

from lightning_cnnviz import ActivationStats, Diagnosis, EmbeddingProjection, GradientFlow, Probe, cnnviz_callbacks

PROJECTED = ["pool1", "pool2", "relu3"]
"""Layers of the FashionMNIST CNN that are laid out by t-SNE: 3,136, 1,568 and 24 features."""
POINTS, QUICK_POINTS = 2000, 100
"""Points of each layout."""


def gradient_flow(interval: int = 1) -> list[pl.Callback]:
    """Gradients of every step, or of every n-th."""
    return [GradientFlow(watch_every_n_steps=interval)]


def activation_stats() -> list[pl.Callback]:
    """Statistics of activations over 1,000 validation samples."""
    return [ActivationStats()]


def diagnosis() -> list[pl.Callback]:
    """What is wrong with a run, over its losses, scores and some of its steps."""
    return [Diagnosis()]


def standard_without_projection(**options: int) -> list[pl.Callback]:
    """The standard set but for the projection."""
    callbacks = cnnviz_callbacks(**options)
    return [callback for callback in callbacks if not isinstance(callback, EmbeddingProjection)]


def standard_with_three_projections(points: int, **options: int) -> list[pl.Callback]:
    """The standard set, with t-SNE of many points for three layers."""
    probe = Probe(points)
    projection = EmbeddingProjection(layers=PROJECTED, num_samples=points, probe=probe, **options)
    callbacks = cnnviz_callbacks(probe=probe, **options)
    return [callback for callback in callbacks if not isinstance(callback, EmbeddingProjection)] + [projection]
