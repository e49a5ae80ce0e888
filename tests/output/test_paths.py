"""Paths that stay what they were when the script changes directory."""

from pathlib import Path

import pytest

from lightning_cnnviz.output.paths import absolute_path


def test_local_paths_become_absolute_where_the_script_is_now(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert absolute_path("runs/a") == absolute_path(Path("runs", "a")) == str(tmp_path / "runs" / "a")
    assert absolute_path(tmp_path) == str(tmp_path)


@pytest.mark.parametrize("path", ["", "s3://bucket/a", "memory://a", "gs://b/c"])
def test_others_are_left_alone(path):
    assert absolute_path(path) == path
