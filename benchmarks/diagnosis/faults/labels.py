"""Mistakes with labels: wrong, shifted, imbalanced, in an unlucky order."""

from typing import Any

import torch
from torch.utils.data import SequentialSampler

from benchmarks.diagnosis.faults.registry import ALL, fault
from benchmarks.diagnosis.training import Setup

WRONG, IMBALANCED = "labels shuffled or partly wrong", "classes imbalanced beyond use"
SORTED = "batches sorted by class"


@fault(WRONG, "labels_do_not_fit", strengths=(0.4, 0.6, 0.8), networks=("lenet", "resnet", "vit"))
def partly_wrong(setup: Setup, share: float) -> None:
    targets = setup.train.targets
    wrong = torch.rand(len(targets)) < share
    setup.train.targets = torch.where(wrong, (targets + torch.randint(1, 10, targets.shape)) % 10, targets)


@fault(WRONG, "labels_do_not_fit", seeds=2)
def shuffled(setup: Setup, _: Any) -> None:
    for part in (setup.train, setup.val):
        part.targets = part.targets[torch.randperm(len(part))]


@fault("labels shifted", "labels_shifted", strengths=(1, 3), networks=ALL)
def shifted_in_training(setup: Setup, distance: int) -> None:
    setup.train.targets = (setup.train.targets + distance) % 10


@fault("labels shifted", "labels_shifted", networks=("lenet", "resnet", "vit"))
def folders_in_another_order(setup: Setup, _: Any) -> None:
    setup.val.targets = torch.tensor([0, 1, 9, 2, 3, 4, 5, 6, 7, 8])[setup.val.targets]


@fault(IMBALANCED, "class_imbalance", "one_class_predicted", strengths=(0.002, 0.005, 0.02))
def one_class_is_rare(setup: Setup, share: float) -> None:
    for part in (setup.train, setup.val):
        rare = part.targets == 0
        others = int((~rare).sum())
        part.keep(~rare | (rare & (rare.cumsum(0) <= share * others + 1)))
        part.targets = (part.targets == 0).long()
    setup.network.head = torch.nn.Linear(setup.network.head.in_features, 2)


@fault(IMBALANCED, "class_imbalance", "one_class_predicted", strengths=(0.005, 0.002), networks=("lenet", "resnet"))
def nine_classes_are_rare(setup: Setup, share: float) -> None:
    # The common class is made of five, so that there are enough images of it.
    for part in (setup.train, setup.val):
        part.targets = torch.where(part.targets < 5, 0, part.targets)
        common = part.targets == 0
        most = share * int(common.sum()) + 1
        kept = common.clone()
        for name in range(5, 10):
            rare = part.targets == name
            kept |= rare & (rare.cumsum(0) <= most)
        part.keep(kept)


@fault(SORTED, "sorted_batches", "not_shuffled", seeds=2)
def sorted_by_class(setup: Setup, _: Any) -> None:
    setup.train.keep(setup.train.targets.argsort(stable=True))
    setup.shuffle = False


@fault(SORTED, "sorted_batches", "not_shuffled", networks=("lenet", "resnet", "vit"))
def sequential_sampler_of_folders(setup: Setup, _: Any) -> None:
    setup.train.keep(setup.train.targets.argsort(stable=True))
    setup.sampler = SequentialSampler(setup.train)


@fault("no shuffling", "not_shuffled", seeds=2)
def same_order_in_each_epoch(setup: Setup, _: Any) -> None:
    setup.shuffle = False
