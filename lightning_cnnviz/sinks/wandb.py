"""Weights & Biases."""

import os
from functools import partial
from html import escape
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from lightning_cnnviz.functional.encode import Encoded
from lightning_cnnviz.sinks.base import Sink


class WandbSink(Sink):
    """Images and numbers over `trainer/global_step`, as Lightning's logger has it.

    A run of Weights & Biases has steps of its own, one for each call, which never go back: late pictures are not
    dropped. Only the training thread may make these calls, so pictures are logged when the next numbers are.
    """

    takes_pictures = True

    def picture(self, tag: str, picture: Encoded, step: int) -> int:
        """Has an image logged, file and all, so that films still move."""
        import wandb

        run = self.logger.experiment
        if run.disabled:  # by WANDB_MODE: there is no folder
            return 0
        file, path = mkstemp(suffix=".png", dir=Path(run.dir).parent)
        with os.fdopen(file, "wb") as opened:
            opened.write(picture.data)
        self.late.append(partial(self._log, tag, wandb.Image(path), step, Path(path)))
        return len(picture.data)

    def text(self, tag: str, text: str, step: int) -> int:
        """Has a text logged, as it is."""
        import wandb

        html = wandb.Html(f"<pre>{escape(text)}</pre>", inject=False)
        self.late.append(partial(self.logger.log_metrics, {tag: html}, step=step))
        return len(text.encode())

    def _log(self, tag: str, image: Any, step: int, path: Path) -> None:
        try:
            self.logger.log_metrics({tag: image}, step=step)  # copies the file
        finally:
            path.unlink()
