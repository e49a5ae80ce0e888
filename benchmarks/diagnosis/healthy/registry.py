from collections.abc import Callable, Iterable
from typing import NamedTuple

from benchmarks.diagnosis.training import Run


class Healthy(NamedTuple):
    """A training without a fault.

    Attributes:
        variant: What is special about it.
        network: Name of the network.
        data: Name of the data set.
        seed: Of everything that is drawn.
        build: Makes the run.
    """

    variant: str
    network: str
    data: str
    seed: int
    build: Callable[[], Run]


HEALTHY: list[Healthy] = []


def healthy(variant: str, network: str, data: str, seeds: Iterable[int] = (0, 1)) -> Callable:
    """Registers a function that makes a run, once for each seed."""

    def register(build: Callable[[], Run]) -> Callable[[], Run]:
        HEALTHY.extend(Healthy(variant, network, data, seed, build) for seed in seeds)
        return build

    return register
