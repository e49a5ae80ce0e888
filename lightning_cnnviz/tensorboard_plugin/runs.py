"""The runs of a log directory: which have data for the tab, and the indices of those that are looked at."""

import os
import threading
from collections import OrderedDict
from pathlib import PurePath
from typing import Any

from tensorboard.data.provider import RunTagFilter
from tensorboard.errors import NotFoundError

from lightning_cnnviz.functional.tab.schema import PLUGIN_NAME
from lightning_cnnviz.tensorboard_plugin.event_files import event_files
from lightning_cnnviz.tensorboard_plugin.run_index import RunIndex

MAX_INDEX_BYTES = 64 * 2**20
"""Maximum memory of the indices together; beyond it, the least recently used ones are dropped."""


class Runs:
    """The runs of a log directory. Thread-safe.

    TensorBoard's data provider says which runs there are and which have data for the tab; it costs nothing more for a
    run that is known. Only the event files of a run that is looked at are read.

    Args:
        context: TensorBoard's context, of either data loader.
    """

    def __init__(self, context: Any) -> None:
        self._provider = context.data_provider
        self._multiplexer = context.multiplexer
        self._log_folder = os.path.expanduser(context.logdir or "")
        self._ours: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._indices: OrderedDict[str, RunIndex] = OrderedDict()

    def listed(self, ctx: Any, experiment: str) -> tuple[list[dict[str, Any]], list[str]]:
        """Returns the runs with data for this plugin, and the names of the others.

        Of each run with data there are its name and its start, in seconds since 1970 or None.
        """
        found = sorted(self._provider.list_runs(ctx, experiment_id=experiment), key=lambda run: str(run.run_name))
        names = {run.run_name for run in found}
        ours = self._ours & names
        if unknown := names - ours:
            series = self._provider.list_blob_sequences(
                ctx, experiment_id=experiment, plugin_name=PLUGIN_NAME, run_tag_filter=RunTagFilter(runs=unknown)
            )
            ours |= {run for run in unknown if series.get(run)}
        self._ours = ours
        listed = [{"name": run.run_name, "start": run.start_time} for run in found if run.run_name in ours]
        return listed, [run.run_name for run in found if run.run_name not in ours]

    def index(self, run: str) -> RunIndex:
        """Returns the index of a run, which is empty if there is no such run.

        Raises:
            NotFoundError: If the name leads out of the log directory.
        """
        folder = self._folder(run)
        with self._lock:
            index = self._indices.pop(run, None) or RunIndex(folder)
            if not event_files(folder):
                return index  # nothing that a client may ask for stays in memory
            size = sum(other.nbytes for other in self._indices.values())
            while self._indices and size > MAX_INDEX_BYTES:
                size -= self._indices.popitem(last=False)[1].nbytes
            self._indices[run] = index
        return index

    def _folder(self, run: str) -> str:
        # The Python loader knows; it alone takes several log directories.
        known = self._multiplexer.RunPaths().get(run) if self._multiplexer else None
        if known is not None:
            return str(known)
        if PurePath(run).is_absolute() or ".." in PurePath(run).parts or not self._log_folder:
            raise NotFoundError(f"no run {run!r}")
        return os.path.join(self._log_folder, run)
