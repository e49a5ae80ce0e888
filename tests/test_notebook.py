"""The notebook runs from its first cell to its last, and what it shows are pictures."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "inside_a_cnn.ipynb"
PICTURES = 18


def pictures(notebook):
    return [
        output["data"]["image/png"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder like a clone's, with a run of the demo that was cut short."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    short = ["--trainer.max_epochs=3", "--trainer.callbacks.num_samples=50", "--trainer.enable_progress_bar=false"]
    command = [sys.executable, "-m", "recipes", "demo", *short]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    return tmp_path


def test_every_cell_runs(workplace):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": workplace / "docs"}}).execute()
    assert len(pictures(notebook)) == PICTURES


def test_it_is_kept_with_what_it_shows():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert len(pictures(notebook)) == PICTURES
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert str(ROOT) not in NOTEBOOK.read_text(encoding="utf-8")
