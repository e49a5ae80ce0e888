"""MLflow."""

from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from lightning_cnnviz.functional.drawing.encode import Encoded
from lightning_cnnviz.output.sinks.base import Sink, safe_path


class MLflowSink(Sink):
    """Logs pictures by step, as shown on the run's page; texts and animations as artifacts in `cnnviz`."""

    takes_pictures = True
    defers_numbers = False

    def begin(self, step: int) -> None:
        """Lets the client look up the run's artifact folder while no other thread logs.

        The first picture would do so otherwise, for which MLflow reads all metrics of the run: where they are files,
        that fails if one of them has just been created by the training thread.
        """
        with suppress(Exception), TemporaryDirectory() as empty:  # what does not work is told with the first picture
            self.logger.experiment.log_artifacts(self.logger.run_id, empty)

    def numbers(self, values: Mapping[str, float], step: int) -> int:
        """Logs metrics on the writer's thread, since MLflow's client is thread-safe and its stores are slow."""
        self.logger.log_metrics({safe_path(tag): value for tag, value in values.items()}, step=step)
        return 0

    def picture(self, tag: str, picture: Encoded, step: int) -> int:
        """Logs an image with its step, or an animation as a file, since MLflow shows images without motion."""
        logger = self.logger
        if picture.kept:
            with TemporaryDirectory() as folder:
                path = Path(folder, f"{safe_path(tag).replace('/', '_')}.png")
                path.write_bytes(picture.data)
                logger.experiment.log_artifact(logger.run_id, str(path), "cnnviz")
        else:
            with Image.open(BytesIO(picture.data)) as image:
                logger.experiment.log_image(logger.run_id, image, key=safe_path(tag), step=step)
        return len(picture.data)

    def text(self, tag: str, text: str, step: int) -> int:
        """Logs a Markdown file."""
        logger = self.logger
        logger.experiment.log_text(logger.run_id, text, f"cnnviz/{safe_path(tag)}.md")
        return len(text.encode())

    def file(self, path: Path) -> None:
        """Logs a file as an artifact in `cnnviz`."""
        self.logger.experiment.log_artifact(self.logger.run_id, str(path), "cnnviz")
