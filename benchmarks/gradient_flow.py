"""Training time with gradients watched, as a ratio to bare training, for five networks and everyone's way."""

import statistics
from collections.abc import Callable, Iterator

import pytorch_lightning as pl

from benchmarks.measure import Blocks, Switchboard, paired_ratio
from benchmarks.models import CASES, FASHION_CNN, LAYER_DROP, Case, fit
from benchmarks.others import BLOCKS, OTHERS
from benchmarks.rows import BARE, Range, Row, missing
from benchmarks.settings import Settings
from benchmarks.variants import gradient_flow

INTERVALS = (1, 4, 16, 64, 256)
BOUNDS = {FASHION_CNN: 1.02, LAYER_DROP: 1.03}
BUDGET = 15.0
"""Seconds that a comparison may take, where that makes three pairs of blocks."""
QUICK_CASES = (FASHION_CNN,)
BATCH_HOOKS = ("on_before_optimizer_step", "on_train_batch_start", "on_train_batch_end")


def rows(settings: Settings) -> Iterator[Row]:
    """Ratios of steps with and without, network by network."""
    for name in QUICK_CASES if settings.quick else CASES:
        case = CASES[name]
        if settings.quick:
            case = case._replace(pairs=3)
        yield from _network(name, case, budget=1.5 if settings.quick else BUDGET)


def _network(network: str, case: Case, budget: float) -> Iterator[Row]:
    _, bare = _alternate(case, list, case.steps, budget)
    _, floor = paired_ratio(bare["on"], bare["off"])
    board, seconds = _alternate(case, gradient_flow, case.steps, budget)
    yield _row(f"{network}: GradientFlow, every step", seconds, floor, at_most=BOUNDS.get(network))
    yield from _by_hooks(network, case, board, statistics.fmean(seconds["off"]))
    for other, make in OTHERS.items():
        steps = max(case.steps, BLOCKS.get(other, 1))
        if steps > case.steps and steps * statistics.median(bare["off"]) > budget / 6:
            yield missing(f"{network}: {other}", BARE, f"left out: blocks of {steps} steps take too long")
            continue
        try:
            _, seconds = _alternate(case, lambda make=make: [make()], steps, budget)
        except ImportError as error:
            yield missing(f"{network}: {other}", BARE, f"not installed: {error}")
        except Exception as error:  # what others raise is their result
            yield missing(f"{network}: {other}", BARE, f"fails: {type(error).__name__}: {str(error)[:60]}")
        else:
            yield _row(f"{network}: {other}", seconds, floor)


def _alternate(
    case: Case, make: Callable[[], list[pl.Callback]], steps: int, budget: float
) -> tuple[Switchboard, dict[str, list[float]]]:
    board = Switchboard(make())
    blocks = Blocks(board, steps=steps, pairs=case.pairs, budget=budget)
    fit(case.model(), case.data(), [blocks, *board.callbacks], limit_val_batches=0)
    return board, blocks.seconds


def _row(name: str, seconds: dict[str, list[float]], floor: Range, at_most: float | None = None) -> Row:
    ratio, interval = paired_ratio(seconds["on"], seconds["off"])
    step = f"{1000 * statistics.median(seconds['off']):.1f} ms a bare step"
    samples = {f"seconds_per_step_{state}": values for state, values in seconds.items()}
    return Row(name, ratio, BARE, interval, floor, at_most, step, samples)


def _by_hooks(network: str, case: Case, board: Switchboard, bare: float) -> Iterator[Row]:
    """From the time in our hooks and in the bare steps between: watched steps, and those that are left out."""
    watched = _per_step(board)
    alone = Switchboard(gradient_flow(max(INTERVALS)))
    fit(case.model(), case.data(), alone.callbacks, limit_val_batches=0, max_steps=min(60, 6 * case.steps))
    idle = _per_step(alone)
    for interval in INTERVALS:
        rest = statistics.median(idle) * (interval - 1) if interval > 1 else 0.0
        ratio = 1 + (statistics.fmean(watched) + rest) / interval / bare
        often = "every step" if interval == 1 else f"every {interval} steps"
        yield Row(
            f"{network}: GradientFlow, {often}, by hooks",
            ratio,
            BARE,
            at_most=BOUNDS.get(network) if interval == 1 else None,
            samples={"seconds_in_hooks_watched": watched, "seconds_in_hooks_left_out": idle},
        )


def _per_step(board: Switchboard) -> list[float]:
    """Seconds in hooks of each step, the first ones left out."""
    seconds: dict[int, float] = {}
    for call in board.calls:
        if call.hook in BATCH_HOOKS:
            after = call.step - 1 if call.hook == "on_train_batch_end" else call.step
            seconds[after] = seconds.get(after, 0.0) + call.seconds
    return list(seconds.values())[2:]
