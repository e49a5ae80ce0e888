"""Weights & Biases."""

import os
from functools import partial
from html import escape
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from lightning_cnnviz.functional.drawing.encode import Encoded
from lightning_cnnviz.output.sinks.base import Sink


class WandbSink(Sink):
    """Logs images and scalars against `trainer/global_step`, as Lightning's logger does.

    A Weights & Biases run counts its own steps, one per call, so they never decrease and pictures that are logged late
    are not dropped. Only the training thread may make these calls, so pictures are logged with the next scalars.
    """

    takes_pictures = True

    def picture(self, tag: str, picture: Encoded, step: int) -> int:
        """Logs an image as a file, so that animations keep moving."""
        import wandb

        run = self.logger.experiment
        if run.disabled:  # WANDB_MODE=disabled: there is no folder
            return 0
        file, path = mkstemp(suffix=".png", dir=Path(run.dir).parent)
        with os.fdopen(file, "wb") as opened:
            opened.write(picture.data)
        self.deferred.append(partial(self._log, tag, wandb.Image(path), step, Path(path)))
        return len(picture.data)

    def text(self, tag: str, text: str, step: int) -> int:
        """Logs a text as preformatted HTML."""
        import wandb

        html = wandb.Html(f"<pre>{escape(text)}</pre>", inject=False)
        self.deferred.append(partial(self.logger.log_metrics, {tag: html}, step=step))
        return len(text.encode())

    def _log(self, tag: str, image: Any, step: int, path: Path) -> None:
        try:
            self.logger.log_metrics({tag: image}, step=step)  # copies the file
        finally:
            path.unlink()
