"""Main loop of the helper process: receives calls through a channel and sends back results or exceptions."""

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from lightning_cnnviz.worker.channel import MessageChannel, UnsendableError

EXECUTORS = ("draw", "compute")
"""Each runs one call at a time: only one thread draws, and drawing does not wait for slow computations."""
NICENESS = 5
"""A quarter of a core that training keeps busy; what was measured is in docs/cost.md."""
BEAT = 1.0
"""Seconds between two signs of life."""
SIGN_OF_LIFE = 0
"""Number of messages that answer no call; their value is the processor time spent on calls so far."""


def main() -> None:
    """Serves until the other end is closed or sends None; then the process exits at once, even during a call."""
    if hasattr(os, "nice"):  # on Windows, it was started with a low priority
        os.nice(NICENESS)
    channel = MessageChannel(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing else may write to the channel
    executors = {name: ThreadPoolExecutor(1) for name in EXECUTORS}
    threading.Thread(target=_show_life, args=(channel,), daemon=True).start()
    try:
        while (request := channel.receive()) is not None:
            number, executor, call = request
            executors[executor].submit(_answer, channel, number, call)
            del request, call  # release them before waiting for the next request
    finally:
        os._exit(0)


def _show_life(channel: MessageChannel) -> None:
    # Without the time of this thread, which is no sign that a call gets on.
    with suppress(OSError):
        while True:
            channel.send((SIGN_OF_LIFE, time.process_time() - time.thread_time(), None, 0.0))
            time.sleep(BEAT)


def _answer(channel: MessageChannel, number: int, call: Callable[[], Any]) -> None:
    # Every call gets an answer, whatever it raised: a caller is waiting for it.
    start = time.thread_time()
    try:
        answer: tuple[int, Any, Exception | None] = (number, call(), None)
    except Exception as error:
        answer = (number, None, error)
    seconds = time.thread_time() - start
    with suppress(OSError):  # the other end is closed, so this process is about to exit
        try:
            channel.send((*answer, seconds))
        except UnsendableError as unsendable:
            cause = answer[2] or unsendable
            channel.send((number, None, RuntimeError(f"{type(cause).__name__}: {cause}"), seconds))
