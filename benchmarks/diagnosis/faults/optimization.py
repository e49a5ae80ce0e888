"""Mistakes with the optimizer: step size, momentum, decay, clipping, schedule, and what it is given."""

from typing import Any

import torch
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, LRScheduler, MultiStepLR, PolynomialLR, StepLR

from benchmarks.diagnosis.faults.registry import ALL, PLAIN, fault
from benchmarks.diagnosis.training import Setup, Training

HIGH, LOW = "learning rate far too high", "learning rate far too low"
DECAY, ENDS = "weight decay too strong", "schedule that ends early"
SGD = {"lr": 0.03, "momentum": 0.9}


@fault(HIGH, "learning_rate_too_high", strengths=(30, 100, 1000, 10_000))
def learning_rate_multiplied(setup: Setup, factor: float) -> None:
    setup.settings["lr"] *= factor


@fault(LOW, "learning_rate_too_low", strengths=(1e-4, 1e-5, 1e-6))
def learning_rate_divided(setup: Setup, factor: float) -> None:
    setup.settings["lr"] *= factor


@fault("unstable momentum", "momentum_too_high", strengths=(0.995, 0.998, 0.9995))
def momentum(setup: Setup, value: float) -> None:
    setup.optimizer, setup.settings = torch.optim.SGD, {"lr": 0.1, "momentum": value}


@fault(DECAY, "weight_decay_too_strong", strengths=(0.2, 0.5, 2.0), networks=("lenet", "vgg", "resnet"))
def l2_penalty(setup: Setup, value: float) -> None:
    setup.optimizer, setup.settings = torch.optim.SGD, {**SGD, "weight_decay": value}


@fault(DECAY, "weight_decay_too_strong", strengths=(30.0, 100.0), networks=("vgg", "vit", "lenet"))
def decoupled(setup: Setup, value: float) -> None:
    setup.optimizer, setup.settings = torch.optim.AdamW, {"lr": 1e-3, "weight_decay": value}


@fault("clipping that clips every step", "clipping_every_step", strengths=(1e-2, 1e-3, 1e-4))
def gradient_clip_val(setup: Setup, value: float) -> None:
    setup.optimizer, setup.settings = torch.optim.SGD, dict(SGD)
    setup.options["gradient_clip_val"] = value


def _ends(setup: Setup, share: float) -> int:
    setup.begins = int(share * setup.steps)
    return setup.begins


@fault(ENDS, "schedule_ends_early", strengths=(0.1, 0.2))
def polynomial_of_too_few_steps(setup: Setup, share: float) -> None:
    end = _ends(setup, share)
    setup.scheduler = lambda optimizer, _: PolynomialLR(optimizer, total_iters=end)


@fault(ENDS, "schedule_ends_early", strengths=(10,))
def epochs_taken_for_steps(setup: Setup, size: int) -> None:
    setup.begins = 3 * size  # by then a thousandth is left
    setup.scheduler = lambda optimizer, _: StepLR(optimizer, step_size=size, gamma=0.1)


@fault(ENDS, "schedule_ends_early", strengths=(0.8,), networks=("lenet", "resnet", "vit"))
def decay_per_step(setup: Setup, gamma: float) -> None:
    setup.begins = 20  # by then a hundredth is left
    setup.scheduler = lambda optimizer, _: ExponentialLR(optimizer, gamma)


@fault(ENDS, "schedule_ends_early", networks=("lenet", "vgg", "resnet"))
def milestones_taken_for_steps(setup: Setup, _: Any) -> None:
    setup.begins = 40
    setup.scheduler = lambda optimizer, _: MultiStepLR(optimizer, milestones=[10, 20, 30, 40], gamma=0.1)


class NeverCleared(Training):
    """Forgets `optimizer.zero_grad()`."""

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """Does nothing."""


class ByHand(Training):
    """Optimizes by hand, and forgets `optimizer.zero_grad()`."""

    automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        """Makes a step."""
        self.manual_backward(super().training_step(batch, batch_idx))
        self.optimizers().step()


@fault("gradients not cleared", "gradients_not_cleared", seeds=2)
def zero_grad_does_nothing(setup: Setup, _: Any) -> None:
    setup.module = NeverCleared


@fault("gradients not cleared", "gradients_not_cleared")
def zero_grad_forgotten_by_hand(setup: Setup, _: Any) -> None:
    setup.module = ByHand


class OnlyHead(Training):
    """Gives the optimizer the last layer only."""

    def trained(self) -> Any:
        """The last layer's parameters."""
        return self.network.get_submodule("head").parameters()


class OnlyBody(Training):
    """Gives the optimizer all but the last layer, which a user has replaced after the optimizer was written."""

    def trained(self) -> Any:
        """All others' parameters."""
        return [value for name, value in self.network.named_parameters() if not name.startswith("head")]


@fault("layer that learns nothing", "layer_not_trained", networks=ALL)
def only_head_in_the_optimizer(setup: Setup, _: Any) -> None:
    setup.module = OnlyHead


@fault("layer that learns nothing", "layer_not_trained", networks=ALL)
def head_not_in_the_optimizer(setup: Setup, _: Any) -> None:
    setup.module = OnlyBody


def _spike(factor: float) -> Any:
    def scheduler(optimizer: torch.optim.Optimizer, _: int) -> LRScheduler:
        return LambdaLR(optimizer, lambda step: factor if step < 3 else 1.0)

    return scheduler


@fault("dead ReLUs", "dead_units", "learning_rate_too_high", strengths=(300, 1000), networks=PLAIN)
def three_steps_far_too_large(setup: Setup, factor: float) -> None:
    setup.scheduler = _spike(factor)
