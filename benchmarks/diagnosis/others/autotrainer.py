"""The rules of AUTOTRAINER, from the description in its paper."""

import math
from itertools import pairwise
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor

from benchmarks.diagnosis.others.watcher import DIVERGES, FADES, OVERFLOWS, STANDS_STILL, Watcher

THETA = 0.7
"""Accuracy of a training that is well: the paper leaves it to the task, its published code has this."""

BETA_1, BETA_2, BETA_3, GAMMA, DELTA, ZETA, ETA = 1e-3, 1e-4, 70.0, 0.7, 0.01, 0.03, 0.2
"""The defaults of the paper's section V.D, by its names; the windows α₁, α₂ and α₃ are 0."""

EVERY = 3
"""Iterations between two checks, by the paper's default."""


class AutoTrainer(Watcher):
    """Judges gradients and the training accuracy every three epochs and at the end, by the paper's table I.

    An iteration is an epoch, as in the published code, whose accuracies are those of Keras. A neuron is a row of a
    weight. Of a training without an accuracy (`train_acc`) it is only judged whether loss and gradients are finite.

    Reference: Zhang, Zhai, Ma and Shen, "AUTOTRAINER: An Automatic DNN Training Problem Detection and Repair System",
    ICSE 2021.
    """

    package: ClassVar[str] = ""
    name: ClassVar[str] = "rules of AUTOTRAINER (ICSE 2021)"
    meaning: ClassVar[dict[str, tuple[str, ...]]] = {
        "vanishing gradient": FADES,
        "exploding gradient": OVERFLOWS,
        "dying ReLU": ("dead_units", "learning_rate_too_high", "bottleneck", *FADES),
        "oscillating loss": ("batch_norm_of_one", "not_shuffled", "sorted_batches", *DIVERGES),
        "slow convergence": STANDS_STILL,
    }

    def __init__(self) -> None:
        super().__init__()
        self.accuracies: list[float] = []
        self.norms: list[float] = []
        self.still = 0.0

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        """Measures gradients where they are judged, and sees in each step whether they are finite."""
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None and p.grad.ndim > 1]
        if not gradients:
            return
        self.norms = torch.stack([gradient.norm() for gradient in gradients]).tolist()
        self.still = float(torch.cat([_still(gradient) for gradient in gradients]).float().mean())
        if not all(map(math.isfinite, self.norms)):
            self.say(trainer, "exploding gradient")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes a loss that is not finite for exploded gradients, as the published code does."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is not None and not math.isfinite(float(loss)):
            self.say(trainer, "exploding gradient")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judges, if it is time to."""
        accuracy = trainer.callback_metrics.get("train_acc")
        if accuracy is None or not self.norms:
            return
        self.accuracies.append(float(accuracy))
        epoch = len(self.accuracies)
        if epoch % EVERY == 0 or epoch == trainer.max_epochs:
            for problem in self.problems():
                self.say(trainer, problem)

    def problems(self) -> list[str]:
        """The problems whose symptoms of table I are there."""
        ratio = self.norms[0] / self.norms[-1] if self.norms[-1] else math.nan
        low = max(self.accuracies) <= THETA
        found = {
            "dying ReLU": low and self.still >= GAMMA,
            "exploding gradient": low and ratio >= BETA_3,
            "vanishing gradient": low and ratio <= BETA_1 and self.norms[0] <= BETA_2,
            "slow convergence": len(self.accuracies) > 1
            and all(abs(after - before) <= DELTA for before, after in pairwise(self.accuracies)),
            "oscillating loss": self._oscillates(),
        }
        return [name for name, holds in found.items() if holds]

    def _oscillates(self) -> bool:
        inner = list(zip(self.accuracies, self.accuracies[1:], self.accuracies[2:], strict=False))
        highs = [here for before, here, after in inner if before <= here >= after]
        lows = [here for before, here, after in inner if before >= here <= after]
        wide = sum(high - low >= ZETA for high, low in zip(highs, lows, strict=False))
        return wide > 0 and wide >= ETA * len(self.accuracies)


def _still(gradient: Tensor) -> Tensor:
    return (gradient.flatten(1) == 0).all(dim=1)
