"""Mistakes with the loss, and numbers that are no longer numbers."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.diagnosis.faults.registry import ALL, PLAIN, fault, half, weighted
from benchmarks.diagnosis.training import Setup, Training

TWICE, WRONG = "softmax before a loss that applies one", "wrong loss for the task"
ONE, NAN = "one class predicted always", "NaN and infinity"
OVERFLOW, UNDERFLOW = "half-precision overflow", "half-precision underflow"
SGD = {"lr": 0.03, "momentum": 0.9}


@fault(TWICE, "softmax_before_loss", seeds=2)
def softmax_layer(setup: Setup, _: Any) -> None:
    setup.network = nn.Sequential(setup.network, nn.Softmax(dim=1))


class Probabilities(Training):
    """Returns probabilities, which the loss takes for logits."""

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (N, 1, size, size) to probabilities (N, 10)."""
        return super().forward(images).softmax(1)


@fault(TWICE, "softmax_before_loss", networks=ALL)
def softmax_in_forward(setup: Setup, _: Any) -> None:
    setup.module = Probabilities


@fault(TWICE, "softmax_before_loss", networks=("lenet", "resnet", "vit"))
def sigmoid_before_its_loss(setup: Setup, _: Any) -> None:
    setup.network = nn.Sequential(setup.network, nn.Sigmoid())
    setup.loss = lambda scores, targets: F.binary_cross_entropy_with_logits(scores, F.one_hot(targets, 10).float())


def _single(setup: Setup) -> None:
    setup.network.head = nn.Linear(setup.network.get_submodule("head").in_features, 1)


@fault(WRONG, "wrong_loss", networks=("lenet", "resnet", "vit"))
def squared_error_of_class_indices(setup: Setup, _: Any) -> None:
    _single(setup)
    setup.loss = lambda outputs, targets: F.mse_loss(outputs.squeeze(1), targets.float())


@fault(WRONG, "wrong_loss", networks=("lenet", "resnet", "vit"))
def squared_error_of_all_pairs(setup: Setup, _: Any) -> None:
    _single(setup)
    setup.loss = lambda outputs, targets: F.mse_loss(outputs, targets.float())  # (N, 1) and (N,) make (N, N)


@fault(WRONG, "wrong_loss", networks=("lenet", "resnet", "vit"))
def likelihood_of_raw_scores(setup: Setup, _: Any) -> None:
    setup.loss = F.nll_loss


@fault(WRONG, "wrong_loss", "loss_does_not_fall", networks=("lenet", "resnet", "vit"))
def cross_entropy_of_one_output(setup: Setup, _: Any) -> None:
    _single(setup)
    setup.loss = lambda outputs, targets: F.cross_entropy(outputs, targets[:, None].float())


@fault(WRONG, "wrong_loss", networks=("lenet", "resnet", "vit"))
def binary_loss_of_ten_classes(setup: Setup, _: Any) -> None:
    _single(setup)
    setup.loss = lambda outputs, targets: F.binary_cross_entropy_with_logits(outputs.squeeze(1), targets.float())


@fault(ONE, "one_class_predicted", strengths=(300.0, 3000.0), networks=ALL)
def bias_of_one_class(setup: Setup, value: float) -> None:
    with torch.no_grad():
        setup.network.get_submodule("head").bias[3] = value


@fault(ONE, "one_class_predicted", strengths=(1e3, 1e5), networks=("lenet", "resnet", "vit"))
def weight_of_one_class(setup: Setup, value: float) -> None:
    weights = torch.ones(10)
    weights[3] = value
    setup.loss = lambda logits, targets: F.cross_entropy(logits, targets, weights)


@fault(NAN, "non_finite")
def one_image_is_not_a_number(setup: Setup, _: Any) -> None:
    setup.train.images[len(setup.train) // 2, 0, 3, 3] = float("nan")


@fault(NAN, "non_finite", networks=("lenet", "resnet", "vit"))
def logarithm_of_nothing(setup: Setup, _: Any) -> None:
    setup.loss = lambda outputs, targets: F.nll_loss(outputs.relu().log(), targets)


@fault(NAN, "non_finite", networks=("lenet", "resnet", "vit"))
def root_of_nothing(setup: Setup, _: Any) -> None:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        same = logits - logits.detach()  # the distance to itself, whose root has no gradient
        return F.cross_entropy(logits, targets) + 0.01 * same.pow(2).sum().sqrt()

    setup.loss = loss


@fault(NAN, "non_finite", networks=("lenet", "vgg", "resnet"))
def divided_by_a_deviation_of_nothing(setup: Setup, _: Any) -> None:
    setup.train.images[len(setup.train) // 3] = 0
    for part in (setup.train, setup.val):
        part.transform = lambda image: (image - image.mean()) / image.std()


def _half(setup: Setup) -> None:
    # Few images, since processors are slow with halves.
    setup.train.keep(slice(1440))
    setup.val.keep(slice(250))
    setup.batch_size = 32
    setup.options["precision"] = "16-true"
    setup.optimizer, setup.settings = torch.optim.SGD, dict(SGD)


@fault(OVERFLOW, "half_precision_overflow", strengths=(255.0, 2550.0), networks=("vgg", "lenet", "vit"))
def inputs_too_large_for_halves(setup: Setup, factor: float) -> None:
    _half(setup)
    for layer in weighted(setup.network)[:4]:
        layer.weight.data *= 4
    for part in (setup.train, setup.val):
        part.transform = lambda image: factor * image


@fault(OVERFLOW, "half_precision_overflow", networks=("lenet", "vgg", "vit"), strengths=(1e4, 1e5))
def features_too_large_for_halves(setup: Setup, factor: float) -> None:
    _half(setup)
    half(setup).register_forward_pre_hook(lambda layer, inputs: (factor * inputs[0] * inputs[0],))


@fault(UNDERFLOW, "half_precision_underflow", strengths=(1e-6, 1e-7), networks=(*PLAIN, "vit"))
def loss_too_small_for_halves(setup: Setup, factor: float) -> None:
    _half(setup)
    setup.loss = lambda logits, targets: factor * F.cross_entropy(logits, targets)


@fault(UNDERFLOW, "half_precision_underflow", "learning_rate_too_low", networks=(*PLAIN, "vit"))
def updates_too_small_for_halves(setup: Setup, _: Any) -> None:
    _half(setup)
    setup.settings = {"lr": 1e-5}


@fault(UNDERFLOW, "half_precision_underflow", "half_precision_overflow", networks=(*PLAIN, "vit"))
def epsilon_too_small_for_halves(setup: Setup, _: Any) -> None:
    _half(setup)
    setup.optimizer, setup.settings = torch.optim.Adam, {"lr": 1e-3}  # its eps of 1e-8 is zero in half precision
