"""TensorBoard, through the event file of its logger."""

import shlex
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch.utils.tensorboard.summary as summary
from pytorch_lightning.utilities import rank_zero_info

from lightning_cnnviz.functional.activations.histogram import Histogram
from lightning_cnnviz.functional.drawing.encode import Encoded
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.output.event_file import (
    EventFile,
    histogram_summary,
    image_summary,
    scalar_summary,
    tab_data_summary,
)
from lightning_cnnviz.output.sinks.base import Sink
from lightning_cnnviz.output.tensorboard_internals import Summary

DEFAULT_IMAGE_SAMPLES = 10
"""Images per tag that TensorBoard shows by default."""


TAB_ADDRESS = "http://localhost:6006/#cnnviz"
"""The CNN Viz tab where TensorBoard is started with no other port."""


class TensorBoardSink(Sink):
    """Writes images, scalars, texts, histograms and chart layouts to the event file; animations also next to it."""

    takes_pictures = True
    defers_numbers = False

    def __init__(self, logger: Any) -> None:
        super().__init__(logger)
        self._file = EventFile(logger.experiment)
        self._image_counts: Counter[str] = Counter()
        self._sampling_reported = self._begins_anew = self._in_tab = False

    def numbers(self, values: Mapping[str, float], step: int) -> int:
        """Adds scalars, as a single record."""
        return self._write(scalar_summary(values), step)

    def picture(self, tag: str, picture: Encoded, step: int) -> int:
        """Adds an image; reports once if TensorBoard will not show all images of a tag."""
        size = self._write(image_summary(tag, picture), step)
        if picture.kept:
            self._file.keep(f"{tag.replace('/', '_')}.png", picture.data)
        self._image_counts[tag] += 1
        if self._image_counts[tag] > DEFAULT_IMAGE_SAMPLES and not self._sampling_reported:
            self._sampling_reported = True
            rank_zero_info(
                f"lightning_cnnviz: TensorBoard shows a random {DEFAULT_IMAGE_SAMPLES} images per tag, e.g. of {tag}; "
                f"to see all: tensorboard --samples_per_plugin images=10000 --logdir {self._file.folder}"
            )
        return size

    def tab_data(self, data: TabData, step: int) -> int:
        """Adds data for the tab."""
        self._in_tab = True
        return self._write(tab_data_summary(data), step)

    def text(self, tag: str, text: str, step: int) -> int:
        """Adds a text."""
        return self._write(summary.text(tag, text), step)  # type: ignore[no-untyped-call]

    def histogram(self, tag: str, histogram: Histogram, step: int) -> int:
        """Adds a distribution."""
        return self._write(histogram_summary(tag, histogram), step)

    def chart_layout(self, layout: Mapping[str, Mapping[str, list[Any]]]) -> int:
        """Adds to what is arranged in the Custom Scalars tab."""
        proto = summary.custom_scalars(layout)  # type: ignore[no-untyped-call]
        self._file.write_layout(proto)
        return int(proto.ByteSize())

    def begin(self, step: int) -> None:
        """Makes TensorBoard replace later steps of the same tags, in a training that goes on or begins anew."""
        self._begins_anew = step == 0
        self._file.begin(step)

    def flush(self, now: bool = False) -> None:
        """Blocks until everything is in the file."""
        self._file.flush(now)

    @property
    def folder(self) -> str:
        """The folder of the event file."""
        return self._file.folder

    def invitation(self) -> str:
        """Names the tab's address and the command that serves it."""
        command = shlex.join(["tensorboard", "--logdir", str(self._file.folder)])
        return f"lightning_cnnviz: see this run at {TAB_ADDRESS} after: {command}" if self._in_tab else ""

    def losses(self) -> list[tuple[str, int, Exception]]:
        """Returns what did not fit on the disk, for example."""
        return self._file.losses()

    def _write(self, proto: Summary, step: int) -> int:
        self._file.write(proto, step)
        if self._begins_anew and self._file.earlier_training:
            self._begins_anew = False
            rank_zero_info(
                f"lightning_cnnviz: an earlier training is in {self._file.folder}; TensorBoard shows this one in its "
                "place, and of the earlier one what this one does not draw"
            )
        return int(proto.ByteSize())
