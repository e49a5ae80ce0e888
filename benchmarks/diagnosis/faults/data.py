"""Mistakes with images: their scale, what differs in validation, what is in both, what augmentation leaves."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.diagnosis.faults.registry import fault
from benchmarks.diagnosis.training import Setup

SCALE, DIFFERS = "inputs not normalised", "preprocessing that differs in validation"
LEAK, OVER = "training data in the validation set", "over-fitting"
DESTROYED = "augmentation that destroys the label"
STEPS = 280


@fault(SCALE, "inputs_not_normalized", networks=("lenet", "vgg", "vit"), seeds=2)
def from_0_to_255(setup: Setup, _: Any) -> None:
    for part in (setup.train, setup.val):
        part.transform = lambda image: 255 * image


@fault(SCALE, "inputs_not_normalized", strengths=(30.0, 100.0), networks=("lenet", "vgg", "vit"))
def far_from_zero(setup: Setup, mean: float) -> None:
    for part in (setup.train, setup.val):
        part.transform = lambda image, then=part.transform: then(image) + mean


@fault(SCALE, "inputs_not_normalized", strengths=(1e-3, 1e-4), networks=("lenet", "vgg", "vit"))
def divided_twice(setup: Setup, factor: float) -> None:
    for part in (setup.train, setup.val):
        part.transform = lambda image: factor * image


@fault(DIFFERS, "preprocessing_differs")
def validation_not_normalized(setup: Setup, _: Any) -> None:
    setup.val.transform = lambda image: image


@fault(DIFFERS, "preprocessing_differs")
def validation_from_0_to_255(setup: Setup, _: Any) -> None:
    setup.val.transform = lambda image: 255 * image


@fault(DIFFERS, "preprocessing_differs")
def validation_inverted(setup: Setup, _: Any) -> None:
    setup.val.transform = lambda image, then=setup.val.transform: then(1 - image)


@fault(DIFFERS, "preprocessing_differs", networks=("lenet", "resnet", "vit"))
def validation_cropped(setup: Setup, _: Any) -> None:
    quarter = setup.size // 4
    setup.val.transform = lambda image, then=setup.val.transform: _resized(
        then(image)[:, quarter:-quarter, quarter:-quarter], setup.size
    )


@fault(LEAK, "leakage", strengths=(1.0, 0.5, 0.2))
def validation_has_training_images(setup: Setup, share: float) -> None:
    count = int(share * len(setup.val))
    setup.val.images[:count] = setup.train.images[:count]
    setup.val.targets[:count] = setup.train.targets[:count]


@fault(LEAK, "leakage", networks=("lenet", "resnet", "vit"))
def split_after_oversampling(setup: Setup, _: Any) -> None:
    # Each image is there three times, then a part is held out by chance.
    order = torch.randperm(3 * len(setup.train))
    chosen = order % len(setup.train)
    setup.val.images, setup.val.targets = (
        setup.train.images[chosen[:500]].clone(),
        setup.train.targets[chosen[:500]].clone(),
    )
    setup.train.keep(chosen[500 : 500 + len(setup.train)])


@fault(OVER, "overfitting", strengths=(50, 100, 200))
def few_images(setup: Setup, count: int) -> None:
    setup.train.keep(slice(count))
    setup.batch_size = 16
    setup.epochs = -(-STEPS // -(-count // 16))
    setup.options["check_val_every_n_epoch"] = max(1, setup.epochs // 10)


def _resized(image: Tensor, size: int) -> Tensor:
    return interpolate(image[None], size=(size, size))[0]


def _augmented(setup: Setup, change: Callable[[Tensor], Tensor]) -> None:
    then = setup.train.transform
    setup.train.transform = lambda image: change(then(image))


@fault(DESTROYED, "augmentation_destroys_labels", strengths=(5.0, 10.0), networks=("lenet", "resnet", "vit"))
def noise(setup: Setup, std: float) -> None:
    _augmented(setup, lambda image: image + std * torch.randn_like(image))


@fault(DESTROYED, "augmentation_destroys_labels", strengths=(8, 6), networks=("lenet", "resnet", "vit"))
def crops_of_nothing(setup: Setup, part: int) -> None:
    side = max(1, setup.size // part)

    def change(image: Tensor) -> Tensor:
        top, left = torch.randint(setup.size - side + 1, (2,)).tolist()
        return _resized(image[:, top : top + side, left : left + side], setup.size)

    _augmented(setup, change)


@fault(DESTROYED, "augmentation_destroys_labels", networks=("lenet", "resnet", "vit"))
def mixed_images_of_unmixed_labels(setup: Setup, _: Any) -> None:
    def mixed(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        weights = torch.rand(len(images), 1, 1, 1)
        return weights * images + (1 - weights) * images[torch.randperm(len(images))], targets

    setup.augment = mixed


@fault(DESTROYED, "augmentation_destroys_labels", strengths=(0.9, 0.97), networks=("lenet", "resnet", "vit"))
def almost_all_erased(setup: Setup, share: float) -> None:
    _augmented(setup, lambda image: image * (torch.rand_like(image) > share))
