"""axe-core, which looks for what keeps people from using a page."""

import shutil
import subprocess
import tarfile
from pathlib import Path

VERSION = "4.14.1"


class AxeError(Exception):
    """axe-core is not at hand, and cannot be fetched."""


def axe_source(folder: Path) -> str:
    """Fetches axe-core into a folder and returns its source; raises `AxeError` where that cannot be done."""
    if shutil.which("npm") is None:
        raise AxeError("there is no npm, which fetches axe-core")
    command = ["npm", "pack", "--silent", f"axe-core@{VERSION}"]
    fetched = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if fetched.returncode:
        raise AxeError(f"axe-core cannot be fetched: {fetched.stderr[-300:]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()
