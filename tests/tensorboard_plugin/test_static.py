"""The files of the page: what is served, how they import one another, and the colours that they share with Python."""

import json
import re

import numpy as np
import pytest
from matplotlib import color_sequences, colormaps
from matplotlib.colors import to_rgb
from tensorboard.errors import NotFoundError
from tensorboard.plugins.base_plugin import TBContext
from werkzeug.test import Client

from lightning_cnnviz.report.bundle import ENTRY
from lightning_cnnviz.tensorboard_plugin.plugin import STATIC, STATIC_FILES, CNNVizPlugin

MODULES = sorted(STATIC.rglob("*.js"))
IMPORTED = re.compile(r'^(?:import|\} from|export .* from)\b.*?"([^"]+)";$', re.MULTILINE)
LAYERS = {"draw": {"draw"}, "data": {"data", "draw"}, "panels": {"panels", "data", "draw"}}
"""From which folders the modules of a folder may import."""


def get(path):
    app = CNNVizPlugin(TBContext(data_provider=None)).get_plugin_apps()["/static/*"]
    return Client(app).get(path)


def imports(module):
    """The files that a module imports, all of them relative to it."""
    names = IMPORTED.findall(module.read_text(encoding="utf-8"))
    assert all(name.startswith("./") or name.startswith("../") for name in names), module
    return [(module.parent / name).resolve() for name in names]


@pytest.mark.parametrize("prefix", ["/static/", "/data/plugin/cnnviz/static/"])
def test_files_of_the_page_are_served_from_every_folder(prefix):
    for path in (*MODULES, STATIC / "style.css", STATIC / "windows.css"):
        answer = get(prefix + path.relative_to(STATIC).as_posix())
        assert answer.data == path.read_bytes()
        assert answer.mimetype == ("text/css" if path.suffix == ".css" else "text/javascript")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    answer = get(prefix + "draw/colours.json")
    assert answer.mimetype == "application/json"
    assert set(answer.json) == {"diverging", "sequential", "classes", "rainbow", "non_finite", "no_class"}


@pytest.mark.parametrize(
    "name",
    [
        *("", "draw", "draw/", "none.js", "draw/none.js", "style.js", "colours.js", "plugin.py", "draw/colours.txt"),
        *("../plugin.py", "..%2Fplugin.py", "%2e%2e/plugin.py", "draw/../../plugin.py", "draw/..%2F..%2Fplugin.py"),
        *("draw/../index.js", "./index.js", "/index.js", "%2Findex.js", "draw%5Ccolours.js", "index.js%00"),
        *("../../functional/drawing/colours.json", "..%2F..%2Ffunctional%2Fdrawing%2Fcolours.json", "%2Fetc%2Fpasswd"),
    ],
)
def test_nothing_else_is_served(name):
    with pytest.raises(NotFoundError):
        get(f"/static/{name}")


def test_every_import_is_a_file_from_the_same_folder_or_one_below_it():
    for module in MODULES:
        folder = module.relative_to(STATIC).parts[0]
        for imported in imports(module):
            assert imported in MODULES, (module, imported)
            if folder in LAYERS:
                assert imported.relative_to(STATIC).parts[0] in LAYERS[folder], (module, imported)


def test_no_modules_import_one_another_in_a_circle():
    waiting = {module: set(imports(module)) for module in MODULES}
    while free := [module for module, needed in waiting.items() if not needed]:
        for module in free:
            del waiting[module]
        for needed in waiting.values():
            needed.difference_update(free)
    assert not waiting


def test_every_module_is_imported_and_every_export_is_used_elsewhere():
    texts = {module: module.read_text(encoding="utf-8") for module in MODULES}
    begins = {STATIC / "index.js", STATIC / ENTRY}
    used = {*begins, *(imported for module in MODULES for imported in imports(module))}
    assert used == set(MODULES)
    for module, text in texts.items():
        for name in re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", text, re.MULTILINE):
            elsewhere = "\n".join(other for path, other in texts.items() if path != module)
            assert name == "render" or re.search(rf"\b{name}\b", elsewhere), (module, name)


def test_the_page_is_small_and_asks_nobody_else():
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".js", ".css"}
    assert sum(path.stat().st_size for path in files) < 236 * 1024  # 12 of them for the page as a file
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert "http" not in text, path.name
        assert not any(word in text for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(")), path.name
        assert len(text.splitlines()) <= 250, path.name
        assert path.suffix == ".css" or text.startswith("// "), path.name


def test_the_colours_are_those_of_matplotlib():
    colours = json.loads(STATIC_FILES["draw/colours.json"].read_text())
    tables = {name: np.array(table) for name, table in colours.items()}

    def sampled(name, places):
        return np.round(colormaps[name](places)[:, :3] * 255)

    diverging = sampled("RdBu_r", np.linspace(0, 1, 201))
    diverging[100] = 247  # zero has no hue
    np.testing.assert_array_equal(tables["diverging"], diverging)
    np.testing.assert_array_equal(tables["sequential"], sampled("viridis", np.linspace(0, 1, 201)))
    np.testing.assert_array_equal(tables["rainbow"], sampled("turbo", np.arange(256)))
    classes = [to_rgb(colour) for colour in color_sequences["petroff10"]]
    np.testing.assert_array_equal(tables["classes"], np.round(np.array(classes) * 255))
