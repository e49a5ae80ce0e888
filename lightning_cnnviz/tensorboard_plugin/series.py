"""Lists the series of each run and reads their frames, all through TensorBoard's data provider."""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from tensorboard.data.provider import DataProvider, RunTagFilter
from tensorboard.errors import InvalidArgumentError, PublicError

from lightning_cnnviz.functional.tab.schema import PLUGIN_NAME, SCHEMA
from lightning_cnnviz.tensorboard_plugin.frames import BrokenFrameError, Frame, decode

ALL_STEPS = 2**31 - 1
"""Maximum number of steps to read: all of them. (0 would return none.)"""
LISTING_TTL = 1.0
"""Seconds for which a listing is cached, since the page sends several requests at a time."""
CACHE_BYTES = 256 * 2**20
CONCURRENT_READS = 16
"""Frames that are read concurrently: with the fast loader each waits about 25 ms for the data server."""
Listing = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Series:
    """One tag of one run.

    Attributes:
        identity: Its metadata: kind, layer, method, view and schema.
        keys: Step → the keys of its blobs, in increasing order of steps.
        written: Step → wall time of writing, which distinguishes a frame from one that replaced it.
        seen: The last step and its wall time; while they are unchanged, nothing was added.
    """

    identity: dict[str, Any]
    keys: dict[int, tuple[str, ...]]
    written: dict[int, float]
    seen: tuple[int, float]


class Reader:
    """Reads the series of an experiment. Thread-safe.

    Args:
        provider: Data provider of either of TensorBoard's data loaders.
    """

    def __init__(self, provider: DataProvider) -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self._listings: dict[str, tuple[float, Listing]] = {}
        self._series: dict[tuple[str, str, str], Series] = {}
        self._frames: OrderedDict[tuple[Any, ...], Frame | str] = OrderedDict()
        self._bytes = 0
        self._pool = ThreadPoolExecutor(CONCURRENT_READS, thread_name_prefix="cnnviz")

    def runs(self, ctx: Any, experiment: str) -> tuple[list[dict[str, Any]], list[str]]:
        """Returns the runs with data for this plugin, and the names of the others.

        Of each run with data there are its name and its start, in seconds since 1970 or None.
        """
        listing = self._listing(ctx, experiment)
        found = sorted(self._provider.list_runs(ctx, experiment_id=experiment), key=lambda run: run.run_name)
        ours = [{"name": run.run_name, "start": run.start_time} for run in found if listing.get(run.run_name)]
        return ours, [run.run_name for run in found if not listing.get(run.run_name)]

    def series(self, ctx: Any, experiment: str, run: str) -> dict[str, Series]:
        """Returns all series of a run, tag → series; empty if there is no such run.

        Series with an unsupported schema have no steps, since the format of their frames is unknown.
        """
        listing = self._listing(ctx, experiment).get(run, {})
        seen = {tag: (entry.max_step, entry.max_wall_time) for tag, entry in listing.items()}
        with self._lock:
            for key in [key for key in self._series if key[:2] == (experiment, run) and key[2] not in listing]:
                del self._series[key]
            held = {tag: self._series.get((experiment, run, tag)) for tag in listing}
        fresh = {tag for tag, series in held.items() if series is None or series.seen != seen[tag]}
        identities = {tag: identity(listing[tag].plugin_content) for tag in fresh}
        known = [tag for tag in fresh if identities[tag].get("schema") == SCHEMA]
        data = self._points(ctx, experiment, run, known)
        read = {}
        for tag in fresh:
            points = data.get(tag, [])
            keys = {point.step: tuple(blob.blob_key for blob in point.values) for point in points}
            written = {point.step: point.wall_time for point in points}
            read[tag] = Series(identities[tag], keys, written, seen[tag])
        with self._lock:
            self._series.update({(experiment, run, tag): series for tag, series in read.items()})
        return {tag: read[tag] if tag in fresh else held[tag] for tag in sorted(listing)}  # type: ignore[misc]

    def frames(
        self, ctx: Any, experiment: str, run: str, tag: str, steps: Sequence[int]
    ) -> Iterator[tuple[int, Frame | str]]:
        """Yields step and frame, or step and error message, for each of the steps that the series has.

        Frames are read lazily, several at a time.
        """
        series = self.series(ctx, experiment, run).get(tag)
        if series is None:
            return
        there = [step for step in steps if step in series.keys]
        for start in range(0, len(there), CONCURRENT_READS):
            batch = there[start : start + CONCURRENT_READS]
            read = self._pool.map(partial(self._frame, ctx, experiment, run, tag, series), batch)
            yield from zip(batch, read, strict=True)

    def _frame(self, ctx: Any, experiment: str, run: str, tag: str, series: Series, step: int) -> Frame | str:
        key = (experiment, run, tag, step, series.written[step])
        with self._lock:
            if key in self._frames:
                self._frames.move_to_end(key)
                return self._frames[key]
        frame: Frame | str
        try:
            frame = decode([self._provider.read_blob(ctx, blob_key=blob) for blob in series.keys[step]])
        except BrokenFrameError as error:
            frame = f"{tag} at step {step} is damaged: {error}"
        except InvalidArgumentError:  # the data server cannot read back its own keys for such names
            return f"{tag}: TensorBoard's fast loader cannot read names with quotes; start it with --load_fast=false"
        except (PublicError, LookupError):
            return f"{tag} at step {step} no longer exists"
        with self._lock:
            if key not in self._frames:
                self._frames[key] = frame
                self._bytes += _size(frame)
            while self._bytes > CACHE_BYTES and len(self._frames) > 1:
                self._bytes -= _size(self._frames.popitem(last=False)[1])
        return frame

    def _listing(self, ctx: Any, experiment: str) -> Listing:
        now = time.monotonic()
        with self._lock:
            read, held = self._listings.get(experiment, (-LISTING_TTL, {}))
        if now - read < LISTING_TTL:
            return held
        listing: Listing = self._provider.list_blob_sequences(ctx, experiment_id=experiment, plugin_name=PLUGIN_NAME)
        with self._lock:
            self._listings[experiment] = (now, listing)
        return listing

    def _points(self, ctx: Any, experiment: str, run: str, tags: Sequence[str]) -> dict[str, Any]:
        if not tags:
            return {}
        found = self._provider.read_blob_sequences(
            ctx,
            experiment_id=experiment,
            plugin_name=PLUGIN_NAME,
            downsample=ALL_STEPS,
            run_tag_filter=RunTagFilter(runs=[run], tags=tags),
        )
        return dict(found.get(run, {}))


def identity(content: bytes) -> dict[str, Any]:
    """Returns the metadata of a series; empty if they cannot be parsed.

    Example:
        >>> identity(b'{"schema": 1, "kind": "model"}'), identity(b"?")
        ({'schema': 1, 'kind': 'model'}, {})
    """
    try:
        read = json.loads(content)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _size(frame: Frame | str) -> int:
    return 1000 + (0 if isinstance(frame, str) else frame.nbytes)
