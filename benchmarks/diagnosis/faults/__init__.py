"""Faults that a training can have, put in as users make them."""

from benchmarks.diagnosis.faults import data, labels, loss, network, optimization, signal, statistics
from benchmarks.diagnosis.faults.registry import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "data", "labels", "loss", "network", "optimization", "signal", "statistics"]
