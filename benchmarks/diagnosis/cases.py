"""All runs, by their names."""

import hashlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

import pytorch_lightning as pl

from benchmarks.diagnosis.faults import FAULTS, Fault
from benchmarks.diagnosis.healthy import HEALTHY
from benchmarks.diagnosis.training import Run, setup

GOOD = "healthy"
"""The kind of a run without a fault."""


class Case(NamedTuple):
    """A run.

    Attributes:
        name: Unlike that of all others.
        kind: Of its fault, or `GOOD`.
        variant: How the fault was made, or what is special about a run without one.
        strength: Of the fault, as text; empty if it has none.
        network: Its name.
        data: Name of the data set.
        seed: Of everything that is drawn.
        rules: Names of the rules that name the cause; none without a fault.
        build: Makes the run, after the seed is set.
    """

    name: str
    kind: str
    variant: str
    strength: str
    network: str
    data: str
    seed: int
    rules: tuple[str, ...]
    build: Callable[[], Run]

    @property
    def half(self) -> str:
        """Whether thresholds may be chosen by this run: "tuning" or "held-out", as a hash of its name falls."""
        return ("tuning", "held-out")[hashlib.sha256(self.name.encode()).digest()[0] % 2]

    def made(self) -> Run:
        """Sets the seed and makes the run."""
        pl.seed_everything(self.seed, verbose=False)
        return self.build()


@cache
def cases(first_seed: int = 0) -> dict[str, Case]:
    """Returns all runs by their names: those with a fault, then those without.

    Args:
        first_seed: Added to every seed, for runs that nobody has seen yet.
    """
    found = [*_faulty(first_seed), *_healthy(first_seed)]
    by_name = {case.name: case for case in found}
    if len(by_name) < len(found):
        raise ValueError("expected every run to have a name of its own")
    return by_name


def _faulty(first_seed: int) -> Iterator[Case]:
    for fault in FAULTS:
        for strength, network, data, place_seed in fault.places():
            seed = first_seed + place_seed
            words = "" if strength is None else f"{strength:g}"
            name = "/".join([fault.kind, fault.variant, words or "-", network, data, str(seed)])
            build = partial(_inject, fault, strength, network, data)
            yield Case(name, fault.kind, fault.variant, words, network, data, seed, fault.rules, build)


def _inject(fault: Fault, strength: object, network: str, data: str) -> Run:
    made = setup(network, data)
    fault.inject(made, strength)
    return made.run()


def _healthy(first_seed: int) -> Iterator[Case]:
    for one in HEALTHY:
        seed = first_seed + one.seed
        name = "/".join([GOOD, one.variant, one.network, one.data, str(seed)])
        yield Case(name, GOOD, one.variant, "", one.network, one.data, seed, (), one.build)
