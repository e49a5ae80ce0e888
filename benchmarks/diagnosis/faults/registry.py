from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import nn

from benchmarks.diagnosis.data import SHAPES
from benchmarks.diagnosis.training import Setup

Inject = Callable[[Setup, Any], None]

ALL = ("lenet", "vgg", "resnet", "vit")
PLAIN = ("lenet", "vgg")
"""Without normalisation."""


class Fault(NamedTuple):
    """One way to make one kind of mistake.

    Attributes:
        kind: In the words of the table.
        variant: Name of the function that makes it.
        rules: Names of the rules that name its cause.
        inject: Makes the mistake, with a strength, in what is otherwise a training that learns.
        strengths: Of the mistake; None where it has none.
        networks: In which it is made.
        seeds: Runs of each strength in each network.
    """

    kind: str
    variant: str
    rules: tuple[str, ...]
    inject: Inject
    strengths: tuple[Any, ...]
    networks: tuple[str, ...]
    seeds: int

    def places(self) -> Iterator[tuple[Any, str, str, int]]:
        """Yields strengths, networks, data sets and seeds; each strength and network meets other data."""
        names = tuple(SHAPES)
        for number, strength in enumerate(self.strengths, start=sum(self.variant.encode())):
            for position, network in enumerate(self.networks):
                for seed in range(self.seeds):
                    yield strength, network, names[(number + position + seed) % len(names)], seed


FAULTS: list[Fault] = []


def fault(
    kind: str,
    *rules: str,
    strengths: tuple[Any, ...] = (None,),
    networks: tuple[str, ...] = ALL,
    seeds: int = 1,
) -> Callable[[Inject], Inject]:
    """Registers a function that makes a mistake; the arguments are as in `Fault`."""

    def register(inject: Inject) -> Inject:
        FAULTS.append(Fault(kind, inject.__name__, rules, inject, strengths, networks, seeds))
        return inject

    return register


def half(setup: Setup) -> nn.Module:
    """The layer or block with which the second half of a network begins."""
    return setup.network.get_submodule(
        {"lenet": "fc1", "vgg": "conv5", "resnet": "block3", "vit": "encoder2"}[setup.name]
    )


def weighted(network: nn.Module) -> list[nn.Module]:
    """Convolutions and fully connected layers, from input to output."""
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
