"""Blocks: the frames of some steps of one series, packed as the backend answers, compressed, in Base64."""

import base64
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from lightning_cnnviz.tensorboard_plugin.frames import Frame, pack
from lightning_cnnviz.tensorboard_plugin.run_index import RunIndex
from lightning_cnnviz.tensorboard_plugin.series import Series

BLOCK = 2**20
"""Bytes of the frames of a block, about: what the page decodes at a time, and what is in memory here."""
BATCH = 100
"""Steps that are looked up at a time."""

Answer = tuple[int, float, Frame | str]


class Block(NamedTuple):
    """Frames of one series.

    Attributes:
        tag: Of the series.
        first: The first of its steps.
        text: Base64.
    """

    tag: str
    first: int
    text: str


def blocks(index: RunIndex, chosen: Mapping[str, Series]) -> Iterator[Block]:
    """Yields the frames of some series at their steps, a block at a time; of a damaged frame what is wrong with it."""
    for tag, series in chosen.items():
        waiting: list[Answer] = []
        size = 0
        for answer in _frames(index, tag, series):
            waiting.append(answer)
            size += answer[2].nbytes if isinstance(answer[2], Frame) else 0
            if size >= BLOCK:
                yield _block(tag, waiting)
                waiting, size = [], 0
        if waiting:
            yield _block(tag, waiting)


def estimate(index: RunIndex, chosen: Mapping[str, Series]) -> int:
    """Returns about how many bytes the blocks of some series take, by the middle frame of each; rather too many."""
    total = 0
    for tag, series in chosen.items():
        if len(series.steps):
            middle = series.at([series.steps[len(series.steps) // 2]])
            total += len(series.steps) * sum(len(_block(tag, [one]).text) for one in _frames(index, tag, middle))
    return total


def _frames(index: RunIndex, tag: str, series: Series) -> Iterator[Answer]:
    steps = series.steps.tolist()
    for start in range(0, len(steps), BATCH):
        yield from index.frames(tag, steps[start : start + BATCH])


def _block(tag: str, frames: list[Answer]) -> Block:
    return Block(tag, frames[0][0], base64.b64encode(zlib.compress(pack(frames), 6)).decode())
