"""Statistics of activations over a window of samples, accumulated on the device without copies of the activations."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from lightning_cnnviz.functional.activations.activation_stats import ActivationStatistics
from lightning_cnnviz.functional.activations.histogram import Counts, Histogram
from lightning_cnnviz.functional.activations.value_sums import SUMS, value_sums
from lightning_cnnviz.functional.gradients.gradient_sums import in_memory_order
from lightning_cnnviz.model.activation_kinds import bounds_of, is_rectifier, saturation
from lightning_cnnviz.model.activation_tap import LayerRun

BINS = 64
"""Bins of a histogram, from the smallest to the largest value."""
SORTED = 2**16
"""Values of a layer that are sorted into bins, about; with more of them, every n-th is."""


class ActivationWindow:
    """Accumulates statistics of layers' outputs over batches; only `statistics` synchronises with the device.

    Means and deviations are over all values, the counts of the histogram over about 65,000 of them, at even distances,
    scaled to the number of all.

    Args:
        module: The model whose layers these are.
        samples: Samples that the window is to have, about.

    Attributes:
        samples: Number of samples so far.

    Example:
        >>> window = ActivationWindow(nn.Sequential(nn.ReLU()), samples=2)
        >>> window.begin(samples=2)
        >>> window.add(LayerRun("0", torch.tensor([[0.0, 3.0], [0.0, 1.0]]), channels=1))
        >>> window.end(None)
        >>> row = window.statistics()["0"]
        >>> row.mean, row.dead, row.histogram.counts.tolist()[-1]
        (1.0, 0.5, 1.0)
    """

    def __init__(self, module: nn.Module, samples: float) -> None:
        self._parts = dict(module.named_modules())
        self._wanted = samples
        self._layers: dict[str, _Layer] = {}
        self._embeddings: list[Tensor | None] = []
        self._batch = 0
        self.samples = 0

    def begin(self, samples: int) -> None:
        """Begins a batch."""
        self._batch = samples
        for layer in self._layers.values():
            layer.runs = 0

    def add(self, run: LayerRun) -> None:
        """Adds what a layer has returned."""
        if run.layer not in self._layers:
            expected = run.values.numel() * max(self._wanted, self._batch) / self._batch
            self._layers[run.layer] = _Layer(self._parts[run.layer], run.values.numel(), expected)
        self._layers[run.layer].add(run)

    def end(self, embedding: Tensor | None) -> None:
        """Ends a batch, of which this is the embedding, shape (samples, features)."""
        self.samples += self._batch
        self._embeddings.append(embedding)

    def statistics(self) -> dict[str, ActivationStatistics]:
        """Returns the statistics of each layer that ran, in the order in which they first did."""
        return {name: layer.statistics() for name, layer in self._layers.items()}

    def embedding(self) -> Tensor | None:
        """Returns the embedding of all samples, shape (samples, features), on the CPU; None if some have none."""
        parts = [part for part in self._embeddings if part is not None]
        alike = len({part.shape[1:] for part in parts}) == 1 and len(parts) == len(self._embeddings)
        return torch.cat(parts).cpu() if alike else None


class _Layer:
    """What is known of one layer; its runs within a batch are told apart by their order."""

    def __init__(self, module: nn.Module, values: int, expected: float) -> None:
        self._rectifies, self._bounds, self._saturation = is_rectifier(module), bounds_of(module), saturation(module)
        self._stride = _stride(math.ceil(expected / SORTED), values)
        self._seen = 0
        self._sums: list[Tensor] = []
        self._sorted: list[Tensor] = []
        self._highest: dict[int, list[Tensor]] = {}
        self._units_known = self._rectifies
        self.runs = 0

    def add(self, run: LayerRun) -> None:
        values, channels = run.values, run.channels
        self._sums.append(value_sums(values, self._saturation))
        self._units_known = self._units_known and channels is not None
        if self._units_known:
            others = [dimension for dimension in range(values.ndim) if dimension != channels]
            self._highest.setdefault(self.runs, []).append(values.amax(others) if others else values)
        self.runs += 1
        flat = in_memory_order(values)[-self._seen % self._stride :: self._stride]
        self._sorted.append(flat.clone())
        self._seen += values.numel()

    def statistics(self) -> ActivationStatistics:
        table = dict(zip(SUMS, torch.stack(self._sums).cpu().numpy().T, strict=True))
        total, squares, non_finite = (float(table[name].sum()) for name in ("total", "squares", "non_finite"))
        low, high = float(table["low"].min()), float(table["high"].max())
        number = self._seen - int(non_finite)
        if not number:
            return ActivationStatistics(math.nan, math.nan, math.nan, math.nan, 0, int(non_finite), None)
        mean = total / number
        variance = squares / number - mean * mean if low < high else 0.0
        counts = self._counts(low, high, number)
        within = not non_finite and (self._bounds is None or self._bounds[0] <= low <= high <= self._bounds[1])
        dead, units = self._dead() if within and low >= 0 else (math.nan, 0)
        return ActivationStatistics(
            mean,
            math.sqrt(max(variance, 0.0)) if math.isfinite(variance) else math.nan,
            dead,
            float(table["saturated"].sum()) / number if within and self._bounds else math.nan,
            units,
            int(non_finite),
            Histogram(counts, low, high, number, total, squares),
        )

    def _dead(self) -> tuple[float, int]:
        alike = all(len({part.shape for part in parts}) == 1 for parts in self._highest.values())
        if not self._units_known or not alike:
            return math.nan, 0
        highest = torch.cat([torch.stack(parts).amax(0) for parts in self._highest.values()])
        return float((highest <= 0).double().mean()), len(highest)

    def _counts(self, low: float, high: float, number: int) -> Counts:
        if low == high:
            return np.array([float(number)])
        values = torch.cat(self._sorted).cpu()
        values = values if values.dtype.itemsize >= 4 else values.float()
        values = values if number == self._seen else values[values.isfinite()]
        counts = torch.histc(values, BINS, low, high).double().numpy()
        scaled: Counts = counts * (number / max(counts.sum(), 1.0))
        return scaled


def _stride(least: int, values: int) -> int:
    """The smallest distance from `least` that has no factor in common with a batch's number of values.

    Otherwise some places in maps, or some channels, would never be among those at that distance.
    """
    return next(stride for stride in range(max(least, 1), max(least, 1) + values) if math.gcd(stride, values) == 1)
