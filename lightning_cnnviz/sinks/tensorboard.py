"""TensorBoard, through the event file that its logger has open."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch.utils.tensorboard.summary as summary
from pytorch_lightning.utilities import rank_zero_info
from tensorboard.compat.proto.summary_pb2 import Summary

from lightning_cnnviz.event_file import EventFile, image_summary, record_summary, scalar_summary
from lightning_cnnviz.functional.encode import Encoded
from lightning_cnnviz.functional.record import Record
from lightning_cnnviz.sinks.base import Sink

SHOWN = 10
"""Images of a tag that TensorBoard keeps unless it is told otherwise."""


class TensorBoardSink(Sink):
    """Images, scalars, texts and chart layouts in the event file; films also as files beside it."""

    takes_pictures = True
    numbers_late = False

    def __init__(self, logger: Any) -> None:
        super().__init__(logger)
        self._file = EventFile(logger.experiment)
        self._shown: Counter[str] = Counter()
        self._told = False

    def numbers(self, values: Mapping[str, float], step: int) -> int:
        """Adds scalars, in one record."""
        return self._write(scalar_summary(values), step)

    def picture(self, tag: str, picture: Encoded, step: int) -> int:
        """Adds an image; says once where TensorBoard won't show all of a tag."""
        size = self._write(image_summary(tag, picture), step)
        if picture.kept:
            self._file.keep(f"{tag.replace('/', '_')}.png", picture.data)
        self._shown[tag] += 1
        if self._shown[tag] > SHOWN and not self._told:
            self._told = True
            rank_zero_info(
                f"lightning_cnnviz: TensorBoard shows {SHOWN} pictures of {tag}, chosen at random, as of every tag; "
                f"to see all: tensorboard --samples_per_plugin images=10000 --logdir {self._file.folder}"
            )
        return size

    def record(self, record: Record, step: int) -> int:
        """Adds data for the tab."""
        return self._write(record_summary(record), step)

    def text(self, tag: str, text: str, step: int) -> int:
        """Adds a text."""
        return self._write(summary.text(tag, text), step)  # type: ignore[no-untyped-call]

    def chart_layout(self, layout: Mapping[str, Mapping[str, list[Any]]]) -> int:
        """Arranges the Custom Scalars tab."""
        return self._write(summary.custom_scalars(layout), 0)  # type: ignore[no-untyped-call]

    def resume(self, step: int) -> None:
        """Has TensorBoard forget later steps."""
        self._file.resume(step)

    def flush(self) -> None:
        """Waits until everything is in the file."""
        self._file.flush()

    def _write(self, proto: Summary, step: int) -> int:
        self._file.write(proto, step)
        return int(proto.ByteSize())
