"""Mistakes in how a network is put together and kept from learning."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.diagnosis.faults.registry import ALL, fault, half
from benchmarks.diagnosis.training import Setup, Training

NOTHING, MOVES = "layer that learns nothing", "loss that does not move"
UNDER, DROPPED = "under-fitting", "dropout too strong"


@fault(NOTHING, "layer_not_trained", networks=ALL)
def detached(setup: Setup, _: Any) -> None:
    half(setup).register_forward_pre_hook(lambda layer, inputs: (inputs[0].detach(),))


@fault(NOTHING, "layer_not_trained", networks=ALL)
def frozen_by_mistake(setup: Setup, _: Any) -> None:
    half(setup).requires_grad_(False)


@fault(NOTHING, "layer_not_trained", networks=ALL)
def all_but_the_head_frozen(setup: Setup, _: Any) -> None:
    setup.network.requires_grad_(False)
    setup.network.get_submodule("head").requires_grad_(True)


class WithoutGradients(Training):
    """Puts a loss together that does not depend on the weights for PyTorch."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Returns a loss."""
        return super().training_step(batch, batch_idx).detach().requires_grad_()


@fault(MOVES, "loss_does_not_fall", "layer_not_trained", networks=("lenet", "resnet", "vit"))
def loss_detached(setup: Setup, _: Any) -> None:
    setup.module = WithoutGradients


@fault(MOVES, "loss_does_not_fall")
def loss_times_nothing(setup: Setup, _: Any) -> None:
    setup.settings.pop("weight_decay", None)
    setup.loss = lambda logits, targets: nn.functional.cross_entropy(0.0 * logits, targets)


@fault(MOVES, "loss_does_not_fall", "inputs_not_normalized", networks=("lenet", "vgg", "resnet"))
def images_all_black(setup: Setup, _: Any) -> None:
    for part in (setup.train, setup.val):
        part.transform = lambda image: torch.div(image, 255, rounding_mode="floor")  # they are in 0…1 already


@fault(MOVES, "loss_does_not_fall", networks=("lenet", "vit", "vgg"))
def classes_rounded(setup: Setup, _: Any) -> None:
    # Rounding has a gradient of zero everywhere.
    setup.loss = lambda logits, targets: nn.functional.mse_loss(
        logits.softmax(1).round(), nn.functional.one_hot(targets, 10).float()
    )


@fault(UNDER, "underfitting", "bottleneck", strengths=(1, 2, 3), networks=("lenet",), seeds=3)
def too_few_features(setup: Setup, width: int) -> None:
    setup.network = nn.Sequential(
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 10)
    )


@fault(UNDER, "underfitting", "bottleneck", strengths=(1, 2), networks=("lenet",), seeds=2)
def too_few_channels(setup: Setup, width: int) -> None:
    setup.rebuild(widths=(width, width, width, 2 * width))


@fault(DROPPED, "dropout_too_strong", strengths=(0.9, 0.95, 0.98))
def dropout(setup: Setup, probability: float) -> None:
    setup.rebuild(dropout=probability)
