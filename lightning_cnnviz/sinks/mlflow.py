"""MLflow."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from lightning_cnnviz.functional.encode import Encoded
from lightning_cnnviz.sinks.base import Sink, safe_path


class MLflowSink(Sink):
    """Pictures by step, as the run's page shows them; texts and films as artifacts in `cnnviz`."""

    takes_pictures = True
    numbers_late = False

    def numbers(self, values: Mapping[str, float], step: int) -> int:
        """Logs metrics, on the writer's thread: MLflow's client is made for several, and its stores are slow."""
        self.logger.log_metrics({safe_path(tag): value for tag, value in values.items()}, step=step)
        return 0

    def picture(self, tag: str, picture: Encoded, step: int) -> int:
        """Logs an image with its step, or a film as a file: as an image it would stand still."""
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
