"""TensorBoard as users start it, and Chromium looking at it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from importlib import metadata

import pytest
from tensorboard_plugin.synthetic_run import SCENES

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""To this machine itself, whatever proxy the environment names."""
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def lacking(what):
    """Skips, or fails where the checks in the browser are required."""
    message = f"checks in the browser: {what}"
    if os.environ.get("CNNVIZ_REQUIRE_BROWSER"):
        pytest.fail(message)
    pytest.skip(message)


class Server:
    """A TensorBoard on a folder, with one of its two loaders."""

    def __init__(self, folder, fast, prefix="", python=sys.executable):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        self.address = f"http://localhost:{port}{prefix}/"
        self.log = folder.parent / f"{folder.name}-{port}.log"
        command = [
            *(python, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(port)),
            *("--load_fast", "true" if fast else "false", "--reload_interval", "1", "--path_prefix", prefix),
        ]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def get(self, route, **query):
        address = f"{self.address}data/plugin/cnnviz/{route}?{urllib.parse.urlencode(query)}"
        with DIRECT.open(address, timeout=20) as answer:
            return json.loads(answer.read())

    def wait_for(self, run, steps):
        """Until a run is loaded up to a number of steps."""
        for _ in range(240):
            assert self.process.poll() is None, self.log.read_text()
            try:
                listed = {entry["name"] for entry in self.get("runs")["runs"]} if steps else {run}
                if run in listed and max(map(len, self.get("series", run=run)["timelines"]), default=0) >= steps:
                    return self
            except OSError:
                pass
            time.sleep(0.25)
        raise AssertionError(f"{run} was not loaded: {self.log.read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    """A log directory with a run of each kind, by the name of its scene."""
    root = tmp_path_factory.mktemp("logs") / "runs"
    for name, scene in SCENES.items():
        scene(root / name)
    return root


@pytest.fixture(scope="package")
def start(tmp_path_factory):
    """Starts servers, and stops them at the end."""
    if "cnnviz" not in {entry.name for entry in metadata.entry_points(group="tensorboard_plugins")}:
        lacking("lightning-cnnviz is not installed with its entry point (pip install -e .)")
    started = []

    def start(*arguments, **options):
        started.append(Server(*arguments, **options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="package")
def fast(start, folder):
    return start(folder, fast=True).wait_for("large", 50)


@pytest.fixture(scope="package")
def slow(start, folder):
    """TensorBoard's loader in Python, below a path prefix."""
    return start(folder, fast=False, prefix="/some/where").wait_for("large", 50)


@pytest.fixture(params=["fast", "slow"])
def server(request):
    """Both loaders."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="package")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("playwright is not installed (pip install playwright)")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        lacking("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()
