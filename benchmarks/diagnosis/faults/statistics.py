"""Mistakes with batch normalisation and with the modes of layers."""

from typing import Any

from torch import Tensor, nn

from benchmarks.diagnosis.faults.registry import fault
from benchmarks.diagnosis.training import Setup, Training

ONE, EVALUATION = "batch size of one under batch normalisation", "layers left in evaluation mode"
UNFIT = "normalisation statistics that do not fit in evaluation"
NETWORKS = ("lenet", "vgg", "resnet")
MOMENT = 50
"""Step at which a network is put into evaluation mode."""


def _normalized(setup: Setup) -> None:
    if setup.name != "resnet":
        setup.rebuild(normalized=True)


@fault(ONE, "batch_norm_of_one", networks=NETWORKS, seeds=3)
def batch_of_one(setup: Setup, _: Any) -> None:
    _normalized(setup)
    setup.train.keep(slice(300))
    setup.batch_size, setup.epochs = 1, 1
    setup.settings["lr"] *= 0.1


@fault(UNFIT, "normalization_statistics", strengths=(1e-3, 1e-4, 0.0), networks=NETWORKS, seeds=2)
def momentum_of_the_statistics(setup: Setup, momentum: float) -> None:
    _normalized(setup)
    for layer in setup.network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = momentum


@fault(EVALUATION, "layers_in_evaluation_mode", networks=NETWORKS)
def eval_before_fit(setup: Setup, _: Any) -> None:
    _normalized(setup)
    setup.network.eval()


@fault(EVALUATION, "layers_in_evaluation_mode", networks=("lenet", "vit", "vgg"))
def eval_before_fit_with_dropout(setup: Setup, _: Any) -> None:
    setup.rebuild(dropout=0.3)
    setup.network.eval()


class LooksAtSamples(Training):
    """Puts the network into evaluation mode to look at predictions, and does not put it back."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Returns the loss."""
        if self.trainer.global_step >= MOMENT:
            self.network.eval()
        return super().training_step(batch, batch_idx)


@fault(EVALUATION, "layers_in_evaluation_mode", networks=NETWORKS, seeds=2)
def eval_in_the_training_step(setup: Setup, _: Any) -> None:
    _normalized(setup)
    setup.module = LooksAtSamples
    setup.begins = MOMENT
