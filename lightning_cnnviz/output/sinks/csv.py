"""Lightning's CSV logger: scalars in its file, everything else as separate files next to it."""

from lightning_fabric.utilities.cloud_io import get_filesystem

from lightning_cnnviz.functional.drawing.encode import Encoded
from lightning_cnnviz.output.sinks.base import Sink, safe_path


class CSVSink(Sink):
    """Saves pictures as `cnnviz/<tag>/<step>.png` in the run's folder, texts as `.md`."""

    takes_pictures = True

    def picture(self, tag: str, picture: Encoded, step: int) -> int:
        """Writes a PNG file."""
        return self._save(tag, step, "png", picture.data)

    def text(self, tag: str, text: str, step: int) -> int:
        """Writes a Markdown file."""
        return self._save(tag, step, "md", text.encode())

    def _save(self, tag: str, step: int, ending: str, data: bytes) -> int:
        root = self.logger.log_dir
        folder, files = f"{root}/cnnviz/{safe_path(tag)}", get_filesystem(root)
        path = f"{folder}/{step:08}.{ending}"
        files.makedirs(folder, exist_ok=True)
        try:
            files.pipe_file(path, data)
        except OSError:  # on a full disk, leave no partial file
            if files.exists(path):
                files.rm_file(path)
            raise
        return len(data)
