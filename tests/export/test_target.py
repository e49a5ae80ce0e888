import json
import os
from pathlib import Path

import pytest

from lightning_cnnviz.export.target import MANIFEST, STAGE, staged
from lightning_cnnviz.report.folders import ReportError


def export(folder, files, overwrite=False):
    with staged(folder, overwrite, {"run": "a"}) as stage:
        for name, text in files.items():
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            (stage / name).write_text(text)


def contents(folder):
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def test_an_export_of_before_gives_way_and_files_of_others_stay(tmp_path):
    folder = tmp_path / "new" / "out"
    export(folder, {"a/1.txt": "one", "a/2.txt": "two", "b/c/3.txt": "three"})
    assert json.loads((folder / MANIFEST).read_text()) == {"run": "a", "files": ["a/1.txt", "a/2.txt", "b/c/3.txt"]}
    with pytest.raises(ReportError, match="give --overwrite"):
        export(folder, {"a/1.txt": "other"})
    (folder / "a" / "mine.txt").write_text("mine")
    export(folder, {"a/1.txt": "other", "d.txt": "four"}, overwrite=True)
    assert contents(folder) == {"a/1.txt": "other", "a/mine.txt": "mine", "d.txt": "four"}
    assert sorted(path.name for path in folder.iterdir()) == ["a", "d.txt", MANIFEST]
    with pytest.raises(ReportError, match=r"expected nothing of others in the way, got .*mine\.txt"):
        export(folder, {"a/mine.txt": "theirs"}, overwrite=True)
    assert contents(folder) == {"a/1.txt": "other", "a/mine.txt": "mine", "d.txt": "four"}


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_what_ends_early_changes_nothing(tmp_path, error):
    def fails(folder, overwrite):
        with staged(folder, overwrite, {}) as stage:
            (stage / "a.txt").write_text("half")
            raise error

    with pytest.raises(type(error)):
        fails(tmp_path / "deep" / "out", False)
    assert not (tmp_path / "deep").exists()
    export(tmp_path / "out", {"a.txt": "whole"})
    with pytest.raises(type(error)):
        fails(tmp_path / "out", True)
    assert contents(tmp_path / "out") == {"a.txt": "whole"}


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ReportError, match="which has other files; name another one"):
            export(tmp_path, {"a.txt": "a"}, overwrite)
    with pytest.raises(ReportError, match="which is a file"):
        export(tmp_path / "thesis.tex", {})
    with pytest.raises(ReportError, match="expected a local folder"):
        export("s3://bucket/out", {})
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_an_export_on_its_way_is_not_disturbed(tmp_path):
    (tmp_path / STAGE).mkdir()
    with pytest.raises(ReportError, match="remove it if none runs there"):
        export(tmp_path, {"a.txt": "a"})
    assert (tmp_path / STAGE).exists()


@pytest.mark.parametrize(
    "listed", ['["../precious.txt"]', '["/etc/hosts"]', '["link/precious.txt"]', "[1]", "{}", "?"]
)
def test_a_list_of_files_elsewhere_removes_nothing(tmp_path, listed):
    (tmp_path / "precious.txt").write_text("precious")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    (folder / MANIFEST).write_text(f'{{"files": {listed}}}' if listed != "{}" else "{}")
    with pytest.raises(ReportError, match="to list the files of an export, which it does not"):
        export(folder, {"a.txt": "a"}, overwrite=True)
    assert (tmp_path / "precious.txt").read_text() == "precious"
    assert not (folder / "a.txt").exists()


def test_a_link_in_the_way_is_no_file_of_ours(tmp_path):
    (tmp_path / "elsewhere.txt").write_text("theirs")
    export(tmp_path / "out", {"a.txt": "a"})
    (tmp_path / "out" / "b.txt").symlink_to(tmp_path / "elsewhere.txt")
    with pytest.raises(ReportError, match="in the way"):
        export(tmp_path / "out", {"b.txt": "b"}, overwrite=True)
    assert (tmp_path / "elsewhere.txt").read_text() == "theirs"


@pytest.mark.parametrize("in_the_way", ["file", "link"])
def test_what_is_in_the_way_of_a_folder_stays_and_nothing_is_written_through_it(tmp_path, in_the_way):
    (tmp_path / "elsewhere").mkdir()
    export(tmp_path / "out", {"a.txt": "a"})
    before = (tmp_path / "out" / MANIFEST).read_text()
    if in_the_way == "file":
        (tmp_path / "out" / "b").write_text("mine")
    else:
        (tmp_path / "out" / "b").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ReportError, match=r"expected nothing of others in the way, got .*out/b; move"):
        export(tmp_path / "out", {"a.txt": "new", "b/c/d.txt": "d"}, overwrite=True)
    assert (tmp_path / "out" / "a.txt").read_text() == "a"
    assert (tmp_path / "out" / MANIFEST).read_text() == before
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_what_ends_while_files_are_moved_says_that_it_is_half_done(tmp_path, monkeypatch, error):
    export(tmp_path / "out", {"a.txt": "a", "c.txt": "c"})
    moved = Path.replace

    def moves(path, other):
        if path.name == "b.txt":
            raise error
        return moved(path, other)

    with monkeypatch.context() as context:
        context.setattr(Path, "replace", moves)
        with pytest.raises(ReportError, match=r"ended half-way; export again with --overwrite"):
            export(tmp_path / "out", {"a.txt": "new", "b.txt": "b"}, overwrite=True)
    export(tmp_path / "out", {"a.txt": "new", "b.txt": "b"}, overwrite=True)
    assert contents(tmp_path / "out") == {"a.txt": "new", "b.txt": "b"}


def test_a_link_that_leads_nowhere_is_told(tmp_path):
    (tmp_path / "out").symlink_to(tmp_path / "gone" / "out")
    with pytest.raises(ReportError, match="which leads nowhere"):
        export(tmp_path / "out", {"a.txt": "a"})
