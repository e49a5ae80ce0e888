import pytest
from tensorboard_plugin.scenes import without
from tensorboard_plugin.synthetic_run import write

from lightning_cnnviz.report.folders import ReportError, names_of, open_run, reading


def small(folder):
    write(folder, epochs=1, samples=20, projected=()).close()


def test_a_run_is_found_in_its_folder_and_below_one_that_is_none(tmp_path):
    small(tmp_path / "logs" / "version_0")
    without(tmp_path / "logs" / "other")
    run = str(tmp_path / "logs" / "version_0")
    for folder in (run, run + "/", str(tmp_path / "logs"), str(tmp_path)):
        path, index = open_run(folder)
        assert path == run
        assert "cnnviz/curves" in index.series()


def test_several_runs_are_listed_in_order_of_their_numbers(tmp_path):
    for number in (10, 9):
        small(tmp_path / f"version_{number}")
    with pytest.raises(ReportError) as told:
        open_run(str(tmp_path))
    first, *listed = str(told.value).splitlines()
    assert first == f"expected one run, got {tmp_path} with 2; name one of them:"
    assert [line.strip() for line in listed] == [f"{tmp_path}/version_9", f"{tmp_path}/version_10"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "which does not exist"),
        (lambda folder: folder.write_text(""), "which is a file"),
        (lambda folder: folder.mkdir(), "which has no event files"),
        (without, "which has event files, but none with data of the CNN Viz tab; train with"),
    ],
)
def test_a_folder_without_a_run(tmp_path, make, words):
    make(tmp_path / "run")
    with pytest.raises(ReportError, match=words):
        open_run(str(tmp_path / "run"))


def test_a_run_at_an_address_is_found():
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    try:
        with pytest.raises(ReportError, match="no event files"):
            open_run("memory://nothing")
        assert names_of(["memory://bucket/demo/version_1"]) == ["demo/version_1"]
    finally:
        files.store.clear()


def test_a_run_that_cannot_be_read_is_told_whatever_reads_it(tmp_path):
    with pytest.raises(ReportError, match=r"expected a run that can be read, got nosuch://a/b: .*nosuch"):
        open_run("nosuch://a/b")
    (tmp_path / "events.out.tfevents.1").mkdir()
    with pytest.raises(ReportError, match=r"tfevents\.1: it cannot be read: Is a directory\."):
        open_run(str(tmp_path))
    with pytest.raises(ReportError, match="got run: Permission denied"), reading("run"):
        raise PermissionError(13, "Permission denied")
    with pytest.raises(ReportError, match="got s3://a: no credentials"), reading("s3://a"):
        raise RuntimeError("no credentials")
    with pytest.raises(RuntimeError, match="a fault of ours"), reading("run"):
        raise RuntimeError("a fault of ours")
