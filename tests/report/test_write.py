import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers.peak_memory import peak_memory
from tensorboard_plugin.scenes import hostile, lenet, lenet_other, truncated
from tensorboard_plugin.synthetic_run import HOSTILE, Run, write

from lightning_cnnviz.report.folders import ReportError
from lightning_cnnviz.report.write import write_report


def contents(path):
    found = re.search(r'id="contents">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(found[1])


def steps_of(run, tag):
    listing = run["listing"]
    return next(listing["timelines"][one["timeline"]] for one in listing["series"] if one["tag"] == tag)


def noisy(folder, steps=60, size=20_000):
    """Pictures that cannot be compressed: 80 kB each."""
    run, rng = Run(folder), np.random.default_rng(0)
    for step in range(0, 10 * steps, 10):
        run.add("curves", "cnnviz/curves", step, points={"loss/val": [[step, step, 1.0]]})
        values = rng.integers(0, 2**32, size, dtype=np.uint32).view(np.int32)
        run.add("partition", "cnnviz/partition/fc/cells", step, {"png": values}, identity={"layer": "fc"})
    run.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs") / "lenet"
    lenet(folder)
    return folder


def test_the_page_stands_in_the_folder_of_the_run_unless_told_otherwise(run, tmp_path):
    path = write_report(run)
    assert path == run / "report.html"
    other = write_report(str(run), tmp_path / "other.html")
    assert other.read_bytes() == path.read_bytes()  # the same run is the same page
    assert sorted(os.listdir(tmp_path)) == ["other.html"]
    (content,) = contents(path)
    assert content["name"] == "lenet"
    assert steps_of(content, "cnnviz/kernels/conv1") == list(range(100, 1201, 100))
    assert set(content["blocks"]) == {one["tag"] for one in content["listing"]["series"]}
    assert content["listing"]["problems"] == []


def test_two_runs_stand_in_one_page(run, tmp_path):
    lenet_other(tmp_path / "other")
    first, second = contents(write_report(run, tmp_path / "two.html", compare=tmp_path / "other"))
    assert (first["name"], second["name"]) == ("lenet", "other")
    numbers = [number for one in (first, second) for blocks in one["blocks"].values() for number, _ in blocks]
    assert numbers == list(range(len(numbers)))
    with pytest.raises(ReportError, match="expected two runs, got"):
        write_report(run, tmp_path / "twice.html", compare=run)


def test_layers_and_steps_are_chosen_and_the_page_says_so(run, tmp_path):
    (content,) = contents(write_report(run, tmp_path / "a.html", layers=["conv*"], first_step=300, last_step=900))
    layers = {one.get("layer") for one in content["listing"]["series"]}
    assert layers == {None, "conv1", "conv2"}
    assert steps_of(content, "cnnviz/curves") == list(range(300, 901, 100))
    assert content["listing"]["problems"] == [
        "This page has a part of the run: what is of the layers conv* from step 300 up to step 900."
    ]


def test_a_large_run_is_thinned_evenly_and_the_page_says_so(tmp_path):
    noisy(tmp_path / "run")
    path = write_report(tmp_path / "run", max_mb=2)
    assert 1.5e6 < path.stat().st_size <= 2e6
    (content,) = contents(path)
    assert steps_of(content, "cnnviz/curves") == list(range(0, 600, 10))
    kept = steps_of(content, "cnnviz/partition/fc/cells")
    assert (kept[0], kept[-1]) == (0, 590)
    assert np.ptp(np.diff(kept)) <= 10
    assert content["listing"]["problems"] == [
        f"Thinned to fit into 2 MB: of the pictures at 60 steps those at {len(kept)} are here, evenly over time, the "
        "first and the last among them. Curves, gradients and findings are whole."
    ]
    assert contents(write_report(tmp_path / "run"))[0]["listing"]["problems"] == []


def test_what_cannot_be_made_so_small_replaces_nothing(tmp_path):
    noisy(tmp_path / "run", steps=4)
    path = tmp_path / "page.html"
    path.write_text("before")
    for limit, words in (
        (0.4, r"0\.\d MB with the first and the last step alone"),
        (0.1, r"0\.\d MB that is never left out"),
    ):
        message = f"expected a page of at most {limit} MB, got {words}; allow more megabytes"
        with pytest.raises(ReportError, match=message):
            write_report(tmp_path / "run", path, max_mb=limit)
    assert path.read_text() == "before"
    assert sorted(os.listdir(tmp_path)) == ["page.html", "run"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no limit of a file's size here")
def test_a_disk_that_is_full_leaves_the_file_of_before(run, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("before")
    code = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from lightning_cnnviz.__main__ import main
sys.exit(main(["report", sys.argv[1], "-o", sys.argv[2]]))
"""
    command = [sys.executable, "-c", code, str(run), str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == f"error: {path} cannot be written: File too large; what was there is as it was\n"
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_damaged_run_is_written_as_far_as_it_can_be_read(tmp_path):
    truncated(tmp_path / "run")
    (content,) = contents(write_report(tmp_path / "run"))
    assert steps_of(content, "cnnviz/curves")[0] == 100
    path = next((tmp_path / "run").glob("events*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
    path.write_bytes(data)
    (content,) = contents(write_report(tmp_path / "run"))
    assert any("is damaged" in problem for problem in content["listing"]["problems"])


def test_a_run_that_grows_is_written_as_it_is_now(tmp_path):
    run = write(tmp_path / "run", epochs=3, samples=20)
    assert steps_of(contents(write_report(tmp_path / "run"))[0], "cnnviz/curves") == [100, 200, 300]
    write(tmp_path / "run", run=run, samples=20, epoch_list=[4])
    with run.path.open("ab") as file:
        file.write(b"\x20\0\0\0")  # a record that is being written
    assert steps_of(contents(write_report(tmp_path / "run"))[0], "cnnviz/curves") == [100, 200, 300, 400]


def test_names_of_any_kind_stay_in_their_block(tmp_path):
    hostile(tmp_path / "</title><script>alert(3)" / "run")
    path = write_report(tmp_path / "</title><script>alert(3)" / "run")
    text = path.read_text(encoding="utf-8")
    assert "alert" in text
    assert "<script>alert" not in text
    assert "<img src" not in text
    assert {one.get("layer") for one in contents(path)[0]["listing"]["series"]} >= set(HOSTILE)


def test_a_run_at_an_address_is_written_here(tmp_path, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    lenet(tmp_path / "run")
    (tmp_path / "run" / "hparams.yaml").write_text("lr: 0.5")
    try:
        for path in (tmp_path / "run").iterdir():
            files.pipe(f"/bucket/run/{path.name}", path.read_bytes())
        here = tmp_path / "here"
        here.mkdir()
        monkeypatch.chdir(here)
        path = write_report("memory://bucket/run")
        assert path.resolve() == here / "report.html"
        (content,) = contents(path)
        assert content["name"] == "run"
        assert ["Settings", [["lr", "0.5"]]] in content["listing"]["summary"]["parts"]
        assert len(steps_of(content, "cnnviz/kernels/conv1")) == 12
    finally:
        files.store.clear()


def test_memory_does_not_grow_with_the_run(tmp_path):
    noisy(tmp_path / "short", steps=10, size=250_000)
    noisy(tmp_path / "long", steps=100, size=250_000)
    code = """
import sys
from lightning_cnnviz.report.write import write_report
write_report(sys.argv[1], sys.argv[2], max_mb=500)
"""
    peak = {name: peak_memory(code, tmp_path / name, tmp_path / "page.html") for name in ("short", "long")}
    assert (tmp_path / "page.html").stat().st_size > 100e6
    assert peak["long"] < 1.2 * peak["short"]
