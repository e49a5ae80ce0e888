"""What a run says at its end: metrics, run folder, how to open it and what to look at."""

import os
import shlex
import sys
from pathlib import Path

from recipes.records import Metrics

VIEWS = {
    "Architecture": ("Images, Text", "architecture/…", "the layers, their shapes and parameters"),
    "KernelGrid": ("Images", "kernels/…", "what each convolution looks for"),
    "FeatureMaps": ("Images", "feature_maps/…", "what it finds in the same few images"),
    "FilterResponse": ("Images", "filter_response/…", "each kernel beside what it makes of one image"),
    "GradientFlow": ("Images", "gradient_flow/bars, …/heatmap", "layers that learn too little or too much"),
    "ActivationMaximization": ("Images", "activation_maximization/…", "what would excite each class most"),
    "EmbeddingProjection": ("Images", "projection/…", "the classes drawing apart"),
    "InputPartition": ("Images", "partition/…", "how each layer carves up the plane"),
    "ClassReport": ("Images", "class_report/…", "which classes are taken for which, and the surest mistakes"),
    "LossAccuracy": ("Custom Scalars", "curves/…", "training and validation in one chart"),
}
"""Tab, tags and meaning of what each callback draws."""


def closing(metrics: Metrics, folder: Path, callbacks: set[str]) -> str:
    """Return the lines that end a run.

    Args:
        metrics: Final metrics.
        folder: The run folder.
        callbacks: Names of the callback classes that took part.
    """
    shown = [VIEWS[name] for name in VIEWS if name in callbacks]
    if metrics:
        shown.append(("Scalars", "train_…, val_…, test_…", "every metric"))
    tested = [(name, f"{value:.4f}") for name, value in metrics.items() if name.startswith("test_")]
    return "\n".join(
        [
            *(["", *_columns(tested)] if tested else []),
            "",
            f"Run folder   {folder}",
            f"TensorBoard  {tensorboard_command(folder)}",
            'Look at (in the Images tab, tick "Show actual image size")',
            *_columns([(f"  {tab} tab", tags, meaning) for tab, tags, meaning in shown]),
        ]
    )


def tensorboard_command(folder: Path) -> str:
    """Return the shell command that shows a run with all its images, where TensorBoard keeps ten per tag."""
    program = Path(sys.executable).with_name("tensorboard")
    if program.is_relative_to(Path.cwd()):
        program = Path(os.path.relpath(program))
    return shlex.join([str(program), "--logdir", str(folder), "--samples_per_plugin", "images=100"])


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
