"""Both Lightning packages, and interpreters that have loaded neither."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning


def package(name):
    return pytest.importorskip("lightning.pytorch") if name == "lightning.pytorch" else pytorch_lightning


both = pytest.mark.parametrize("name", ["pytorch_lightning", "lightning.pytorch"])


def fresh(code, folder, *arguments):
    """What a fresh interpreter prints, with our entry points as if they were installed."""
    root = Path(__file__).resolve().parents[2]
    installed = folder / "installed" / "lightning_cnnviz-0.1.0.dist-info"
    if not installed.exists():
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lightning-cnnviz\nVersion: 0.1.0\n")
        groups = re.findall(
            r'^\[project\.entry-points\."(.+?)"\]\n(.+?)\n\n', (root / "pyproject.toml").read_text(), re.M | re.S
        )
        written = "\n".join(f"[{group}]\n{lines}" for group, lines in groups).replace('"', "")
        (installed / "entry_points.txt").write_text(written)
    paths = [str(installed.parent), str(root), str(root / "tests"), str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
