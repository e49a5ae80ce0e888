import threading
import time
from itertools import pairwise

import pytest

from lightning_cnnviz.report import live
from lightning_cnnviz.report.live import Refresher, size_of


def wait_for(what):
    for _ in range(200):
        if what():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(live, "INTERVAL", 0.02)
    monkeypatch.setattr(live, "UNHURRIED", 0)


@pytest.fixture
def run(tmp_path):
    """A folder, and a function that appends to its event file."""

    def grow():
        with (tmp_path / "events.out.tfevents.1").open("ab") as file:
            file.write(b"more")

    return tmp_path, grow


def test_the_size_is_that_of_all_event_files(run, tmp_path):
    folder, grow = run
    assert size_of([str(folder), str(tmp_path / "nowhere")]) == 0
    grow()
    (folder / "events.out.tfevents.2").write_bytes(b"other")
    (folder / "report.html").write_bytes(b"no data")
    assert size_of([str(folder)]) == 9


def test_it_works_at_once_and_then_only_when_the_run_has_grown(run):
    folder, grow = run
    grow()
    calls = []
    refresher = Refresher([str(folder)], lambda: calls.append(size_of([str(folder)])) or True)
    assert wait_for(lambda: calls == [4])
    time.sleep(0.3)
    assert calls == [4]
    grow()
    assert wait_for(lambda: calls == [4, 8])
    refresher.stop()
    grow()
    time.sleep(0.1)
    assert calls == [4, 8]
    assert not [thread for thread in threading.enumerate() if thread.name == "lightning_cnnviz.Refresher"]


def test_a_run_without_files_yet_is_tried_again_and_again(run):
    folder, _ = run
    calls = []
    refresher = Refresher([str(folder)], lambda: bool(calls.append(0)))
    assert wait_for(lambda: len(calls) > 3)
    refresher.stop()


def test_it_ends_by_itself_when_nothing_has_come_for_long(run, monkeypatch):
    folder, grow = run
    grow()
    monkeypatch.setattr(live, "QUIET", 0.2)
    refresher = Refresher([str(folder)], lambda: True)
    assert wait_for(lambda: not refresher._thread.is_alive())


def test_the_pause_is_a_multiple_of_what_it_took(run, monkeypatch):
    folder, _ = run
    monkeypatch.setattr(live, "UNHURRIED", 10)
    times = []
    refresher = Refresher([str(folder)], lambda: time.sleep(0.05) or bool(times.append(time.monotonic())))
    assert wait_for(lambda: len(times) == 3)
    refresher.stop()
    assert all(0.5 < later - sooner < 2 for sooner, later in pairwise(times))
