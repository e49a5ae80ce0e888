"""What the helper process runs: calls come in through a channel, what they returned or raised goes back."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from lightning_cnnviz.channel import Channel, UnsendableError

LANES = ("draw", "compute")
"""Each runs one call at a time: pictures do not wait for long computations, nor share matplotlib."""


def main() -> None:
    """Serves until the other end is gone or sends None; then the process ends, whatever it is doing."""
    if hasattr(os, "nice"):  # on Windows it was started with a low priority
        os.nice(19)
    channel = Channel(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing else may get between the answers
    lanes = {lane: ThreadPoolExecutor(1) for lane in LANES}
    try:
        while (asked := channel.receive()) is not None:
            number, lane, call = asked
            lanes[lane].submit(_answer, channel, number, call)
            del asked, call  # not to be kept until the next one comes
    finally:
        os._exit(0)


def _answer(channel: Channel, number: int, call: Callable[[], Any]) -> None:
    # Every call gets an answer, whatever it raised: somebody waits for it.
    try:
        answer: tuple[int, Any, Exception | None] = (number, call(), None)
    except Exception as error:
        answer = (number, None, error)
    with suppress(OSError):  # the other end is gone, and with it this process
        try:
            channel.send(answer)
        except UnsendableError as unsendable:
            cause = answer[2] or unsendable
            channel.send((number, None, RuntimeError(f"{type(cause).__name__}: {cause}")))
