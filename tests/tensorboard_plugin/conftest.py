"""TensorBoard as users start it, and Chromium looking at it."""

import os
import shutil
from contextlib import contextmanager
from importlib import metadata

import pytest
from tensorboard_plugin.axe import AxeError, axe_source
from tensorboard_plugin.scenes import SCENES
from tensorboard_plugin.server import Server
from tensorboard_plugin.tab_page import ARGUMENTS, Tab


def lacking(what):
    """Skips, or fails where the checks in the browser are required."""
    message = f"checks in the browser: {what}"
    if os.environ.get("CNNVIZ_REQUIRE_BROWSER"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    """A log directory with a run of each kind, by the name of its scene."""
    root = tmp_path_factory.mktemp("logs") / "runs"
    for name, scene in SCENES.items():
        scene(root / name)
    return root


@contextmanager
def servers():
    """Starts servers, and stops them at the end."""
    if "cnnviz" not in {entry.name for entry in metadata.entry_points(group="tensorboard_plugins")}:
        lacking("lightning-cnnviz is not installed with its entry point (pip install -e .)")
    started = []

    def start(*arguments, **options):
        started.append(Server(*arguments, **options))
        return started[-1]

    try:
        yield start
    finally:
        for server in started:
            server.stop()


@pytest.fixture(scope="module")
def start():
    """Starts servers of one file of tests; each reads its folder anew every second until it is stopped."""
    with servers() as start:
        yield start


@pytest.fixture(scope="package")
def fast(folder):
    with servers() as start:
        yield start(folder, fast=True).wait_for("large", 50)


@pytest.fixture(scope="package")
def slow(folder):
    """TensorBoard's loader in Python, below a path prefix."""
    with servers() as start:
        yield start(folder, fast=False, prefix="/some/where").wait_for("large", 50)


@pytest.fixture(params=["fast", "slow"])
def server(request):
    """Both loaders."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="package")
def axe(tmp_path_factory):
    try:
        return axe_source(tmp_path_factory.mktemp("axe"))
    except AxeError as error:
        return lacking(error)


@pytest.fixture(scope="package")
def playwright():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("playwright is not installed (pip install playwright)")
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def browser(playwright):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        lacking("chromium is not installed")
    browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def firefox(playwright):
    """Firefox as it is installed, which Playwright speaks to by WebDriver BiDi; it needs no driver beside it."""
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        pytest.skip("Firefox is not installed")
    browser = playwright.firefox.launch(executable_path=path, channel="moz-firefox")
    try:
        browser.new_context().close()
    except Exception as error:  # a command that this Firefox does not know
        pytest.skip(f"this Playwright and Firefox {browser.version} do not understand each other: {error}")
    yield browser
    browser.close()


@pytest.fixture
def tab(browser):
    tab = Tab(browser)
    yield tab
    tab.close()
