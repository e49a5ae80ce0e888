"""The tab in TensorBoard on large runs: how smoothly it plays, what it costs to look at, and whether all can use it.

The runs are synthetic, written without a training. Frames and the first picture are those of Chromium and, where it is
installed, of Firefox. Processor time and memory are those of TensorBoard's processes, with its fast loader and with
the one in Python.
"""

import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import Row, missing
from benchmarks.settings import Settings
from tests.tensorboard_plugin.axe import AxeError, axe_source
from tests.tensorboard_plugin.scenes import lenet as write_lenet
from tests.tensorboard_plugin.server import Server
from tests.tensorboard_plugin.synthetic_run import STATISTICS, Run
from tests.tensorboard_plugin.tab_page import ARGUMENTS, Tab, faults

Browsers = dict[str, Any]
"""By name; Chromium is always there."""
LOADERS = {"fast loader": True, "Python loader": False}
MILLISECONDS = 1000 / 30
"""Between two pictures, at most."""
STILL = 240
"""Seconds for which a page stands still."""
COUNT_PICTURES = """
window.pictures = [];
const request = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (draw) => request((now) => { window.pictures.push(now); draw(now); });
"""
PLAY = """() => {
  const rate = document.querySelector(".transport select");
  rate.value = "16";
  rate.dispatchEvent(new Event("change", { bubbles: true }));
  const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  press("Home");
  setTimeout(() => { window.pictures.length = 0; press(" "); }, 1000);
}"""
FIRST_PICTURE = "performance.getEntriesByName('cnnviz:first-picture')[0]?.startTime"


def rows(settings: Settings) -> Iterator[Row]:
    """Frames, seconds, megabytes; each with both loaders."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        yield missing("play", "ms a picture", "playwright and chromium are needed", MILLISECONDS)
        return
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browsers = {"Chromium": playwright.chromium.launch(executable_path=path, args=ARGUMENTS)}
        if firefox := shutil.which("firefox-esr") or shutil.which("firefox"):
            browsers["Firefox"] = playwright.firefox.launch(executable_path=firefox, channel="moz-firefox")
        for measure in (play, play_deep, look, poll, stand_still, violations):
            yield from measure(browsers, Path(folder, measure.__name__), settings.quick)
            shutil.rmtree(Path(folder, measure.__name__))
        for browser in browsers.values():
            browser.close()


def play(browsers: Browsers, logs: Path, quick: bool) -> Iterator[Row]:
    """Through projection, kernels and gradients, for the first time."""
    epochs, layers = (30, 5) if quick else (300, 50)
    write(logs, epochs, layers, points=2000, kernels=(32, 5, 5))
    yield from _playing(browsers, logs, epochs, f"{epochs:,} epochs × {layers:,} layers × 2,000 points", quick)


def play_deep(browsers: Browsers, logs: Path, quick: bool) -> Iterator[Row]:
    """Through the gradients of many layers."""
    steps, layers = (30, 30) if quick else (1000, 1000)
    write(logs, steps, layers)
    yield from _playing(browsers, logs, steps, f"{steps:,} steps × {layers:,} layers", quick)


def look(browsers: Browsers, logs: Path, quick: bool) -> Iterator[Row]:
    """Time to the first picture, and memory of the server thereafter."""
    steps, layers = (10, 10) if quick else (100, 200)
    size = write(logs, steps, layers, kernels=(3, 3, 3), maps=(4, 8, 56, 56)).path.stat().st_size
    for name, fast in LOADERS.items():
        name = f"{steps} × {layers} layers, {size / 1e9:.1f} GB, {name}"
        with _server(logs, fast, steps) as server:
            for label, browser in browsers.items():
                times = [_first_picture(browser, server) for _ in range(1 if quick else 3)]
                words, samples = f"first picture, {name}, {label}", {"seconds": times}
                yield Row(words, statistics.median(times), "s", at_most=1.5, samples=samples)
            memory = sum(_status(pid, "VmRSS:") for pid in _processes(server)) / 1024
            yield Row(f"memory, {name}", memory, "MB", at_most=500)


def poll(browsers: Browsers, logs: Path, quick: bool) -> Iterator[Row]:
    """Processor time to list what there is when a step is new, and when none is."""
    steps = 50 if quick else 2000
    run = write(logs, steps, 98, kernels=(8, 3, 3))
    for name, fast in LOADERS.items():
        with _server(logs, fast, steps) as server:
            digest, times, idle = server.get("series", run="run")["digest"], [], []
            for _ in range(2 if quick else 5):
                write(logs, steps + 1, 98, kernels=(8, 3, 3), begin=steps, run=run)
                steps += 1
                for seconds in (times, idle):
                    before = _processor_time(server)
                    server.get("runs")
                    digest = server.get("series", run="run", known=digest)["digest"]
                    seconds.append(_processor_time(server) - before)
        name = f"poll with a new step, {steps // 10 * 10:,} × 100 series, {name}"
        note = f"{statistics.mean(idle):.3f} s with none"
        samples = {"seconds": times, "seconds_idle": idle}
        yield Row(name, statistics.mean(times), "s", at_most=0.1, note=note, samples=samples)


def stand_still(browsers: Browsers, logs: Path, quick: bool) -> Iterator[Row]:
    """What a page downloads that stands still."""
    steps, points, seconds = (20, 500, 7) if quick else (900, 50_000, STILL)
    write(logs, steps, 3, points=points, kernels=(8, 3, 3))
    for name, fast in LOADERS.items():
        with _server(logs, fast, steps) as server:
            tab = Tab(browsers["Chromium"])
            requests: list[Any] = []
            tab.context.on("requestfinished", lambda request, found=requests: found.append(request))
            tab.open(server, run="run").page.wait_for_timeout(1000 * seconds)
            asked = [request for request in requests if "/frames?" in request.url]
            megabytes = sum(request.sizes()["responseBodySize"] for request in asked) / 1e6
            tab.close()
        name = f"download in {seconds} s, {points:,} points × {steps} frames, {name}"
        yield Row(name, megabytes, "MB", at_most=4.0, note=f"{len(asked)} requests")


def violations(browsers: Browsers, logs: Path, quick: bool) -> Iterator[Row]:
    """What axe-core finds on the page of a run, light and dark."""
    logs.mkdir()
    try:
        axe = axe_source(logs)
    except AxeError as error:
        yield missing("axe-core", "violations", str(error), 0)
        return
    write_lenet(logs / "runs" / "run")
    with _server(logs / "runs", True, 12) as server:
        for name in ("light", "dark"):
            tab = Tab(browsers["Chromium"]).open(server, run="run", dark=name == "dark")
            found = faults(tab, axe)
            tab.close()
            note = ", ".join(sorted({rule for rule, *_ in found}))
            yield Row(f"axe-core, {name}", float(len(found)), "violations", at_most=0, note=note)


def write(
    logs: Path,
    steps: int,
    layers: int,
    *,
    points: int = 0,
    kernels: tuple[int, ...] = (),
    maps: tuple[int, ...] = (),
    begin: int = 0,
    run: Run | None = None,
) -> Run:
    """Writes steps of a run: curves and gradients, and what shapes are given for; from step `begin` on to a run."""
    rng, run = np.random.default_rng(0), run or Run(logs / "run")
    names = [f"blocks.{number}.conv" for number in range(layers)]
    targets = rng.integers(0, 10, points or 200)
    if not begin:
        described = [{"name": name, "kind": "Conv2d", "shape": [32, 16, 16], "parameters": 1000} for name in names]
        classes = [f"class {number}" for number in range(10)]
        run.add("model", "cnnviz/model", 1, name="Net", layers=described, classes=classes)
        thumbnails = np.zeros((min(len(targets), 1000), 16, 16, 3), np.uint8)
        arrays = {"targets": targets.astype(np.int32), "thumbnails": thumbnails}
        run.add("samples", "cnnviz/samples", 1, arrays, classes=classes)
    positions = rng.normal(size=(points, 2)).astype(np.float32)
    table = np.abs(rng.normal(size=(layers, len(STATISTICS)))).astype(np.float32)
    one = np.ones(kernels[:1], np.float32)
    weights = {"values": rng.normal(size=kernels).astype(np.float16), "low": -one, "high": one}
    zero = np.zeros(maps[:2], np.float32)
    activations = {"values": rng.integers(0, 255, maps).astype(np.uint8), "low": zero, "high": zero + 1, "mean": zero}
    for step in range(begin + 1, steps + 1):
        run.add("curves", "cnnviz/curves", step, points={"loss/train": [[step, step, 2 / step]]})
        health = ["ok" if (step + number) % 5 else "vanishing" for number in range(layers)]
        arrays = {"values": table * np.float32(1 + step % 7)}
        run.add("gradients", "cnnviz/gradients", step, arrays, layers=names, statistics=STATISTICS, health=health)
        for kind, shape, arrays in (("kernels", kernels, weights), ("feature_maps", maps, activations)):
            shown = {"channels": list(range(shape[kind == "feature_maps"])), "samples": [0, 1, 2, 3]} if shape else {}
            for name in names if shape else []:
                run.add(kind, f"cnnviz/{kind}/{name}", step, arrays, identity={"layer": name}, **shown)
        if points:
            moved = positions * np.float32(1 + step / 100)
            bounds = np.stack([moved.min(axis=0), moved.max(axis=0)])
            arrays = {"points": moved, "predicted": targets.astype(np.int16), "bounds": bounds}
            identity = {"layer": "fc", "method": "tsne"}
            run.add("projection", "cnnviz/projection/fc/tsne", step, arrays, identity=identity)
    return run


def _playing(browsers: Browsers, logs: Path, steps: int, name: str, quick: bool) -> Iterator[Row]:
    for loader, fast in LOADERS.items():
        with _server(logs, fast, steps) as server:
            for label, browser in browsers.items():
                tab = Tab(browser)
                tab.page.add_init_script(COUNT_PICTURES)
                tab.open(server, run="run").at(steps)
                tab.frame.evaluate(PLAY)
                tab.page.wait_for_timeout(2500 if quick else 12_000)
                times = np.diff(tab.frame.evaluate("window.pictures"))
                tab.close()
                words, samples = f"play {name}, {loader}, {label}", {"milliseconds": times.tolist()}
                note = f"{1000 / times.mean():.0f} frames per second"
                yield Row(words, float(times.mean()), "ms", at_most=MILLISECONDS, note=note, samples=samples)


def _first_picture(browser: Any, server: Server) -> float:
    tab = Tab(browser).open(server, run="run")
    tab.frame.wait_for_function(FIRST_PICTURE)
    seconds = tab.frame.evaluate(FIRST_PICTURE) / 1000
    tab.close()
    return float(seconds)


@contextmanager
def _server(logs: Path, fast: bool, steps: int) -> Iterator[Server]:
    server = Server(logs, fast=fast)
    try:
        yield server.wait_for("run", steps)
    finally:
        server.stop()


def _processes(server: Server) -> list[int]:
    """The process of TensorBoard, and that of its fast loader."""
    found = [server.process.pid]
    for children in Path(f"/proc/{found[0]}/task").glob("*/children"):
        found += map(int, children.read_text().split())
    return found


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def _processor_time(server: Server) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in _processes(server)]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")
