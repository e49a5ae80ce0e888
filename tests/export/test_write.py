import json
import os
import subprocess
import sys

import pytest
from helpers.logged_pictures import Value, file_of, image_value, log, picture
from tensorboard_plugin.scenes import lenet, truncated
from tensorboard_plugin.synthetic_run import Run

from lightning_cnnviz.export import write as module
from lightning_cnnviz.export.write import KINDS, export_run
from lightning_cnnviz.report.folders import ReportError


def test_all_that_a_training_has_logged_is_exported(exported):
    assert {path.relative_to(exported.folder).parts[0] for path in exported.files} == set(KINDS)
    assert all(path.stat().st_size for path in exported.files)
    listed = json.loads((exported.folder / "export.json").read_text())
    assert [str(exported.folder / file) for file in listed["files"]] == [str(path) for path in exported.files]
    assert exported.notes == ()
    assert str(exported).startswith(f"{exported.folder}  ")
    pictures = sum("pictures" in path.parts for path in exported.files)
    assert f" MB: {pictures} pictures, " in str(exported)
    assert str(exported).endswith(" charts")


def test_what_is_asked_for_is_written_and_nothing_else(trained, tmp_path):
    export = export_run(trained / "run", tmp_path / "out", only=["tables", "numbers"], layers=["conv1"], first_step=5)
    assert {path.parent.name for path in export.files} == {"tables", "numbers"}
    (tmp_path / "empty").mkdir()
    lenet(tmp_path / "run")
    export = export_run(tmp_path / "run", tmp_path / "empty", only=["charts", "films"])
    assert export.notes == ("no films: the run has logged nothing for them",)
    with pytest.raises(ReportError, match=r"there is nothing to export from .*: no films"):
        export_run(tmp_path / "run", tmp_path / "other", only=["films"])
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"only": []}, "expected some of pictures, films"),
        ({"only": ["pictures", "films", "sounds"]}, "got sounds"),
        ({"film": "avi"}, "expected film to be one of apng, gif, mp4, got 'avi'"),
        ({"fps": 0}, "expected 0 < fps"),
    ],
)
def test_arguments_that_do_not_fit_say_what_would(tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words):
        export_run(tmp_path, tmp_path / "out", **arguments)


@pytest.mark.parametrize(("arguments", "package"), [({"film": "mp4"}, "av"), ({"parquet": True}, "pyarrow")])
def test_a_package_that_is_missing_is_told_before_any_work(tmp_path, monkeypatch, arguments, package):
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(ReportError, match=r"not installed: pip install \"lightning-cnnviz\[export\]\""):
        export_run(tmp_path, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_there_is_no_run_or_more_than_one(tmp_path):
    for folder, words in (("none", "does not exist"), (".", "no event files")):
        with pytest.raises(ReportError, match=words):
            export_run(tmp_path / folder, tmp_path / "out")
    for name in ("a", "b"):
        lenet(tmp_path / "runs" / name)
    with pytest.raises(ReportError, match="expected one run"):
        export_run(tmp_path / "runs", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_that_has_logged_nothing_is_no_matter_of_steps(tmp_path):
    Run(tmp_path / "empty")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "events.out.tfevents.1").write_text("no event file, but many words " * 20)
    for name, words in (("empty", "neither pictures nor numbers"), ("text", "damaged")):
        with pytest.raises(ReportError, match=f"nothing to export from .*{name}: .*{words}"):
            export_run(tmp_path / name, tmp_path / "out")
    with pytest.raises(ReportError, match="expected steps from a first to a later one, got 9 to 3"):
        export_run(tmp_path / "empty", tmp_path / "out", first_step=9, last_step=3)


def test_a_run_without_data_of_the_tab_has_its_pictures_and_scalars(tmp_path):
    run = Run(tmp_path / "run")
    for step in range(2):
        log(run, step, image_value("image", file_of(picture(step))), Value(tag="loss", simple_value=step))
    export = export_run(tmp_path, tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in export.files] == [
        "films/image.apng",
        "numbers/scalars.csv",
        "numbers/scalars_by_step.csv",
        "pictures/image/step_00000000.png",
        "pictures/image/step_00000001.png",
    ]


def test_a_damaged_run_and_one_that_grows_are_exported_as_far_as_they_can_be_read(tmp_path):
    truncated(tmp_path / "cut")
    assert export_run(tmp_path / "cut", tmp_path / "one").files
    run = Run(tmp_path / "run")
    for step in range(4):
        log(run, step, image_value("image", file_of(picture(step, 90, 90))))
    data = bytearray(run.path.read_bytes())
    data[len(data) // 2] ^= 1
    run.path.write_bytes(data + b"\x20\0\0\0")  # a record that is being written
    export = export_run(tmp_path / "run", tmp_path / "two", only=["pictures"])
    assert len(export.files) == 3
    assert export.notes == (f"{run.path.name}: 1 damaged record is left out",)


def test_a_run_at_an_address_is_exported(tmp_path, trained):
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    try:
        for path in (trained / "run").glob("events*"):
            files.pipe(f"/bucket/run/{path.name}", path.read_bytes())
        there = export_run("memory://bucket/run", tmp_path / "there", only=["pictures", "numbers"])
        here = export_run(trained / "run", tmp_path / "here", only=["pictures", "numbers"])
        assert [path.read_bytes() for path in there.files] == [path.read_bytes() for path in here.files]
    finally:
        files.store.clear()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no limit of a file's size here")
def test_a_disk_that_is_full_leaves_the_export_of_before(tmp_path):
    run = Run(tmp_path / "run")
    log(run, 1, image_value("image", file_of(picture(0))))
    export_run(tmp_path / "run", tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    log(run, 2, image_value("image", file_of(picture(1, 400, 400))))
    code = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from lightning_cnnviz.__main__ import main
sys.exit(main(["export", *sys.argv[1:], "--overwrite"]))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "run"), str(tmp_path / "out")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == f"error: {tmp_path / 'out'} cannot be written: File too large; it is as it was\n"
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_neither_torch_nor_lightning_is_loaded(tmp_path, trained):
    code = """
import sys
from lightning_cnnviz.export.write import export_run
export_run(*sys.argv[1:])
print(*{name.split(".")[0] for name in sys.modules})
"""
    command = [sys.executable, "-c", code, str(trained / "run"), str(tmp_path / "out")]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert {"matplotlib", "lightning_cnnviz"} <= loaded
    assert not loaded & {"torch", "pytorch_lightning", "lightning_fabric", "pyarrow", "av"}
