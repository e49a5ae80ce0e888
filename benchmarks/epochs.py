"""Whole epochs of the FashionMNIST CNN with the standard set, as a ratio to bare ones.

Two measures. By the clock: within one training, callbacks are switched on and off for two epochs at a time; what is
drawn at the end of the first takes its time in the second, which is measured. And by account: bare time, and on top of
it all time in our hooks on the training thread; beside it the CPU time of our threads and processes, whose priority is
a little below that of training.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytorch_lightning as pl

from benchmarks.ledger import Account, ledger
from benchmarks.measure import Switchboard, paired_ratio
from benchmarks.models import FASHION_CNN, fashion, fit
from benchmarks.rows import BARE, Row
from benchmarks.settings import Settings
from benchmarks.variants import (
    POINTS,
    PROJECTED,
    QUICK_POINTS,
    activation_stats,
    diagnosis,
    gradient_flow,
    standard_with_three_projections,
    standard_without_projection,
)
from recipes.fashion_cnn import FashionCNN

NOTHING, AGAIN, FLOW, STANDARD, PROJECTION = "nothing", "nothing again", "GradientFlow", "standard", "projection"
STATS, DIAGNOSIS = "ActivationStats", "Diagnosis"
NAMES = {
    FLOW: "GradientFlow, drawn every epoch",
    STATS: "ActivationStats, drawn every epoch",
    DIAGNOSIS: "Diagnosis",
    STANDARD: "standard set every epoch, no projection",
    PROJECTION: f"standard set and t-SNE of {POINTS:,} × {len(PROJECTED)} layers",
}
BOUNDS = {FLOW: 1.02, STATS: 1.003, DIAGNOSIS: 1.002, STANDARD: 1.02, PROJECTION: 1.10}
CYCLES = 6
LEDGER_EPOCHS = 3

Variant = Callable[[], list[pl.Callback]]


class Epochs(pl.Callback):
    """Switches callbacks every second epoch and takes the seconds of the second of each two.

    Goes first among a trainer's callbacks. The first epoch of all is left out.

    Args:
        board: What is switched.
    """

    def __init__(self, board: Switchboard) -> None:
        self.board = board
        self.seconds: dict[str, list[float]] = {}
        self._start = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends an epoch and begins the next."""
        self._end(trainer.current_epoch - 1)
        state = self._state(trainer.current_epoch)
        self.board.switch(lambda callback: _is_on(callback, state))
        self._start = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends the last epoch."""
        self._end(trainer.current_epoch - 1)

    def _end(self, epoch: int) -> None:
        if epoch > 0 and epoch % 2 == 0:
            self.seconds.setdefault(self._state(epoch), []).append(time.perf_counter() - self._start)

    @staticmethod
    def _state(epoch: int) -> str:
        cycle, place = divmod(max(0, epoch - 1) // 2, len(STATES))
        return (STATES if cycle % 2 == 0 else STATES[::-1])[place]


STATES = (NOTHING, STANDARD, PROJECTION, AGAIN)
"""In a cycle; the next cycle goes back."""


def _is_on(callback: pl.Callback, state: str) -> bool:
    kind = type(callback).__name__
    return {
        NOTHING: False,
        AGAIN: False,
        STANDARD: kind != "EmbeddingProjection",
        PROJECTION: True,
    }[state]


def rows(settings: Settings) -> Iterator[Row]:
    """Ratios by account and by the clock, stalls, and what is left to do after the last step."""
    part = {"limit_train_batches": 20, "limit_val_batches": 2} if settings.quick else {}
    most = partial(standard_with_three_projections, QUICK_POINTS if settings.quick else POINTS)
    accounts = _accounts(most, part)
    yield from _by_account(accounts)
    yield _stall(accounts)
    yield from _tails(accounts)
    yield from _by_clock(most, 1 if settings.quick else CYCLES, part)


def _accounts(most: Variant, part: dict[str, int]) -> dict[str, Account]:
    ledger(FashionCNN(), fashion(), [], 1, part)  # after it, the threads that training takes are there
    variants: dict[str, Variant] = {
        NOTHING: list,
        FLOW: gradient_flow,
        STATS: activation_stats,
        DIAGNOSIS: diagnosis,
        STANDARD: standard_without_projection,
        PROJECTION: most,
        AGAIN: list,
    }
    epochs = 1 if part else LEDGER_EPOCHS
    return {name: ledger(FashionCNN(), fashion(), make(), epochs, part) for name, make in variants.items()}


def _by_account(accounts: dict[str, Account]) -> Iterator[Row]:
    bare = accounts[NOTHING]
    for name, bound in BOUNDS.items():
        account = accounts[name]
        hooks = sum(account.hooks.values())
        background = account.background - bare.background
        figure = 1 + hooks / bare.seconds
        note = f"beside it {background / bare.seconds:.1%} CPU in the background"
        samples = {f"seconds_in_{callback}": [seconds] for callback, seconds in account.hooks.items()}
        samples |= {"background_cpu_seconds": [background], "bare_seconds": [bare.seconds]}
        yield Row(f"{NAMES[name]}, in hooks", figure, BARE, None, None, bound, note, samples)


def _stall(accounts: dict[str, Account]) -> Row:
    step = accounts[NOTHING].step
    stalls = {callback: seconds / step for callback, seconds in accounts[PROJECTION].stalls.items()}
    worst = max(stalls, key=lambda callback: stalls[callback])
    each = ", ".join(f"{name} {steps:.1f}" for name, steps in sorted(stalls.items(), key=lambda item: -item[1]))
    return Row(
        f"{FASHION_CNN}: longest stall by any callback",
        stalls[worst],
        "bare steps",
        floor=(0.0, accounts[NOTHING].hiccup / step),
        at_most=1.0,
        note=f"({1000 * step:.1f} ms each): {each}; bare / bare: by how much a bare step is longer than the median",
        samples={f"steps_{name}": [steps] for name, steps in stalls.items()},
    )


def _tails(accounts: dict[str, Account]) -> Iterator[Row]:
    for name in (STANDARD, PROJECTION):
        tails = [accounts[state].tail for state in (name, NOTHING)]
        yield Row(
            f"{NAMES[name]}: after the last step",
            tails[0] - tails[1],
            "s longer than bare until fit returns",
            floor=(0.0, abs(accounts[AGAIN].tail - tails[1])),
            samples={"seconds": tails[:1], "seconds_bare": tails[1:]},
        )


def _by_clock(most: Variant, cycles: int, part: dict[str, int]) -> Iterator[Row]:
    board = Switchboard(most())
    epochs = Epochs(board)
    fit(FashionCNN(), fashion(), [epochs, *board.callbacks], max_epochs=1 + 2 * len(STATES) * cycles, **part)
    bare = epochs.seconds[NOTHING]
    _, floor = paired_ratio(epochs.seconds[AGAIN], bare)
    for name in (STANDARD, PROJECTION):
        seconds, bound = epochs.seconds[name], BOUNDS[name]
        ratio, interval = paired_ratio(seconds, bare)
        samples = {"seconds_per_epoch": seconds, "seconds_per_epoch_bare": bare}
        note = f"{statistics.median(bare):.1f} s a bare epoch"
        yield Row(f"{NAMES[name]}, by the clock", ratio, BARE, interval, floor, bound, note, samples)
