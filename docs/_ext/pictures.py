"""How the gallery shows pictures: the value of a cell's last line, as a notebook would."""

from pathlib import Path
from typing import Any

from IPython.display import Image as ImageFile
from matplotlib.figure import Figure
from PIL import Image
from sphinx_gallery.scrapers import figure_rst


class _Scraper:
    """Saves Pillow images, matplotlib figures and IPython images, each picture once."""

    def __init__(self) -> None:
        self._shown: Any = None

    def __repr__(self) -> str:
        return "PictureScraper"

    def __call__(self, block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any], **_: Any) -> str:
        """Save what a cell has shown and return the reST that shows it."""
        shown = block_vars["example_globals"].get("___")
        if shown is self._shown or not isinstance(shown, Image.Image | Figure | ImageFile):
            return ""
        self._shown = shown
        path = Path(next(block_vars["image_path_iterator"]))
        if isinstance(shown, Image.Image):
            shown.save(path)
        elif isinstance(shown, Figure):
            shown.savefig(path, dpi=shown.get_dpi())
        else:
            path.write_bytes(shown.data)
        return figure_rst([str(path)], gallery_conf["src_dir"])


scraper = _Scraper()
