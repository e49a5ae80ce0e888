"""The summary printed at the end of a run: metrics, run folder, how to open it and what to look at."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from lightning_cnnviz.callbacks.base import Guide
from lightning_cnnviz.output.sinks.tensorboard import TAB_ADDRESS
from recipes.records import Metrics


def closing(metrics: Metrics, folder: Path, guides: Sequence[Guide], page: Path | None = None) -> str:
    """Return the summary that is printed at the end of a run: the address of the tab, the run folder, and the rest.

    Args:
        metrics: Final metrics.
        folder: The run folder.
        guides: The guides of the run's callbacks.
        page: The run as one HTML file, if it was written.
    """
    shown = list(dict.fromkeys(guides))
    if metrics:
        shown.append(Guide("Scalars", "train_…, val_…, test_…", "every metric"))
    tested = [(name, f"{value:.4f}") for name, value in metrics.items() if name.startswith("test_")]
    return "\n".join(
        [
            *([TAB_ADDRESS] if guides else []),
            str(folder),
            *(["", *_columns(tested)] if tested else []),
            "",
            f"TensorBoard  {tensorboard_command(folder)}",
            *([f"Report       {page} (opens in a browser as it is)"] if page else []),
            'Look at (in the Images tab, tick "Show actual image size")',
            *_columns([(f"  {tab} tab", tags, meaning) for tab, tags, meaning in shown]),
        ]
    )


def tensorboard_command(folder: Path) -> str:
    """Return the shell command that shows a run with all its images, of which TensorBoard keeps ten per tag."""
    program = Path(sys.executable).with_name("tensorboard")
    if program.is_relative_to(Path.cwd()):
        program = Path(os.path.relpath(program))
    return shlex.join([str(program), "--logdir", str(folder), "--samples_per_plugin", "images=100"])


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
