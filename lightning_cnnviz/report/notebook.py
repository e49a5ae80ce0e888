"""The page of a run in a notebook."""

import os
import shlex
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from lightning_cnnviz.report.folders import names_of
from lightning_cnnviz.report.frame import framed, waiting
from lightning_cnnviz.report.live import Refresher
from lightning_cnnviz.report.write import NAME, write_file
from lightning_cnnviz.worker.client import Worker

MAX_MB = 2.5
"""Jupyter drops what is larger than 3 MB: its limit is 1 MB/s over three seconds."""
HEIGHT = 720


class RunPage:
    """The page of a run as the output of a notebook's cell; made by `show`.

    Args:
        folders: Of the run, and perhaps of one to show beside it.
        height: Of the page in pixels.
        options: Of `write_report`.
    """

    def __init__(self, folders: Sequence[str], height: int, options: Mapping[str, Any]) -> None:
        self._folders = folders
        compare = folders[1] if len(folders) > 1 else None
        self._write = partial(write_file, folders[0], compare=compare, **options)
        self._name = " and ".join(names_of(folders))
        self._height = height
        self._key = f"cnnviz-{uuid4().hex}"
        self._page = self._html = ""
        self._refresher: Refresher | None = None
        self._shown_in: tuple[Any, int] | None = None
        self._lock = threading.Lock()

    @property
    def command(self) -> str:
        """The command that writes the page as a file."""
        return shlex.join(
            ["python", "-m", "lightning_cnnviz", "report", self._folders[0]]
            + [part for folder in self._folders[1:] for part in ("--compare", folder)]
        )

    def update(self) -> None:
        """Draws the run as it is now wherever the page is shown; what the reader has chosen there stays.

        Raises:
            ReportError: If there is nothing of the run to show.
        """
        self._update(self._write)

    def follow(self) -> None:
        """Draws the page at once, and anew whenever the run has grown."""
        self._html = waiting(self._name, "The page comes with the first data.")
        if _shell() is not None:
            self._ipython_display_()
        self._refresher = Refresher(self._folders, self._refresh)

    def stop(self) -> None:
        """Draws the run as it is now, and no more after that."""
        if self._refresher is not None:
            self._refresher.stop()
        self.update()

    def __repr__(self) -> str:
        return f"RunPage({self._name})"

    def _repr_html_(self) -> str:
        return self._html

    def _ipython_display_(self) -> None:
        from IPython.display import display

        cell = _shell(), getattr(_shell(), "execution_count", 0)
        if self._shown_in != cell:  # otherwise `show` has shown it in this cell, whose last line it is
            self._shown_in = cell
            display(self._bundle(), raw=True, display_id=self._key)  # type: ignore[no-untyped-call]

    # ---- internals

    def _refresh(self) -> bool:
        """Draws the run as it is now, by means of the helper process; returns whether there was anything new."""
        worker = Worker.acquire()
        try:
            return self._update(lambda path: worker.run(partial(self._write, path), executor="compute"))
        except Exception as error:  # the training must not hear of it; it is tried again
            if not self._page:
                self._show(waiting(self._name, str(error)))
            return False
        finally:
            worker.release()

    def _update(self, write: Callable[[str], None]) -> bool:
        with self._lock, TemporaryDirectory(prefix="cnnviz-") as folder:
            path = Path(folder, NAME)
            write(str(path))
            page = path.read_text(encoding="utf-8")
            if page == self._page:
                return False
            self._page = page
            self._show(framed(page, self._name, self._key, self._height))
            return True

    def _show(self, html: str) -> None:
        self._html = html
        if self._shown_in is not None:
            from IPython.display import update_display

            update_display(self._bundle(), raw=True, display_id=self._key)  # type: ignore[no-untyped-call]

    def _bundle(self) -> dict[str, str]:
        return {"text/html": self._html, "text/plain": repr(self)}


def show(
    run: str | os.PathLike[str],
    *,
    live: bool = False,
    height: int = HEIGHT,
    max_mb: float = MAX_MB,
    compare: str | os.PathLike[str] | None = None,
    layers: Sequence[str] = (),
    first_step: int | None = None,
    last_step: int | None = None,
) -> RunPage:
    """Draws the page of the CNN Viz tab for a run below a notebook's cell, without a server or a network.

    Args:
        run: The folder of the run, e.g. `trainer.log_dir`, local or an address such as `s3://bucket/run`.
        live: Draw it at once, and anew whenever the run has grown, at most every ten seconds, also while a cell
            trains. The page is made in a helper process of low priority. It ends after an hour without anything new,
            or with `stop()`.
        height: Of the page in pixels.
        max_mb: Maximum size of the page in megabytes (10⁶ bytes), see `write_report`. What is larger than the default
            is not shown by Jupyter unless it is started with a higher `--ServerApp.iopub_data_rate_limit`.
        compare: The folder of a run to show beside it.
        layers: Names or globs of the layers whose pictures are kept; all if empty.
        first_step: The first optimizer step that is kept.
        last_step: The last one.

    Returns:
        The page. As the last line of a cell it is drawn there; `display(...)` draws it anywhere, `update()` anew.

    Raises:
        ReportError: If there is no such run, nothing of it is selected, or it cannot be made so small; a live page
            waits for it instead and says so.
    """
    folders = [_absolute(os.fspath(folder)) for folder in (run, compare) if folder is not None]
    selected = {"max_mb": max_mb, "layers": list(layers), "first_step": first_step, "last_step": last_step}
    page = RunPage(folders, height, selected)
    if live:
        page.follow()
    else:
        page.update()
    if _shell() is None:
        line = f"show() draws in a notebook; for a file that any browser opens: {page.command}"
        print(line, file=sys.stderr)
    return page


def _absolute(folder: str) -> str:
    return folder if "://" in folder else os.path.abspath(folder)


def _shell() -> Any:
    """IPython's shell in a notebook; None elsewhere, also in a terminal."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell if hasattr(shell, "kernel") else None
