"""Trainings without a fault, as different from each other as those of users."""

from benchmarks.diagnosis.healthy import images
from benchmarks.diagnosis.healthy.registry import HEALTHY, Healthy

__all__ = ["HEALTHY", "Healthy", "images"]
