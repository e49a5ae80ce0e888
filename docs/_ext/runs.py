"""Runs that visitors can play: recipes, trained as the site is built, whose pages are files beside the others."""

import shutil
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "build" / "docs" / "runs"
SETTINGS = ("--trainer.enable_progress_bar=false", "--trainer.logger.version=")
"""Of every recipe here."""
RECIPES: dict[str, tuple[str, ...]] = {"demo": ("--trainer.max_epochs=10",), "edge_filters": ()}
"""Those that take some seconds and need no download, and settings of their own."""
FRAME = """
<iframe class="run-page" src="{root}runs/{recipe}.html" title="{title}" sandbox="allow-scripts" loading="lazy">
</iframe>
<p><a href="{root}runs/{recipe}.html">In a window of its own</a></p>
"""


def train(app: Sphinx, config: Config) -> None:
    """Train what has not been trained yet, and put the pages into a folder that is copied into the site."""
    pages = RUNS / "site" / "runs"
    pages.mkdir(parents=True, exist_ok=True)
    for recipe, own in RECIPES.items():
        written = RUNS / recipe / "report.html"
        if not written.exists():
            shutil.rmtree(written.parent, ignore_errors=True)  # of a training that was cut short
            command = [sys.executable, "-m", "recipes", recipe, *SETTINGS, *own, f"--trainer.logger.save_dir={RUNS}"]
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        shutil.copy(written, pages / f"{recipe}.html")
    config.html_extra_path.append(str(RUNS / "site"))


class RunPage(SphinxDirective):
    """Shows the page of a recipe's run: the recipe as the argument, what it shows, in words, below."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the frame."""
        root = "../" * self.env.docname.count("/")
        title = " ".join(self.content)
        return [nodes.raw("", FRAME.format(root=root, recipe=self.arguments[0], title=title), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("config-inited", train, priority=100)  # before it looks whether the folder is there
    app.add_directive("run-page", RunPage)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
