"""Trainings without a fault, as different from each other as those of users."""

from benchmarks.diagnosis.healthy import (
    dense,
    families,
    generative,
    images,
    recipes,
    regression,
    reinforcement,
    sequences,
    similarity,
    transfer,
)
from benchmarks.diagnosis.healthy.registry import HEALTHY, Healthy

__all__ = [
    "HEALTHY",
    "Healthy",
    "dense",
    "families",
    "generative",
    "images",
    "recipes",
    "regression",
    "reinforcement",
    "sequences",
    "similarity",
    "transfer",
]
