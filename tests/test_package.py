import ast
import importlib
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import lightning_cnnviz
import lightning_cnnviz.callbacks
import lightning_cnnviz.functional

ROOT = Path(__file__).resolve().parents[1]

EVERY_MODULE = """
import importlib, pkgutil
def load(package):
    package = importlib.import_module(package)
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
"""


def in_a_fresh_interpreter(code):
    run = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:lightning_cnnviz", "-c", code],
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def test_the_package_loads_neither_torch_nor_lightning():
    code = "import sys, lightning_cnnviz; dir(lightning_cnnviz); print(*sys.modules)"
    loaded = {name.split(".")[0] for name in in_a_fresh_interpreter(code)}
    assert "lightning_cnnviz" in loaded
    assert not loaded & {"torch", "pytorch_lightning", "lightning_fabric", "numpy", "matplotlib", "tensorboard"}


def test_the_pictures_need_no_lightning_and_no_global_state_of_matplotlib():
    code = f"{EVERY_MODULE}\nload('lightning_cnnviz.functional')\nimport sys; print(*sys.modules)"
    loaded = set(in_a_fresh_interpreter(code))
    assert {"lightning_cnnviz.functional.kernels", "lightning_cnnviz.functional.projection.layout", "torch"} <= loaded
    tops = {name.split(".")[0] for name in loaded}
    assert not tops & {"pytorch_lightning", "lightning_fabric", "lightning", "tensorboard"}
    assert "matplotlib.pyplot" not in loaded


def test_what_the_standard_set_logs_is_drawn_without_matplotlib():
    code = """
import sys
import numpy as np
import lightning_cnnviz.functional as f
from lightning_cnnviz.functional.drawing.encode import encode
ones, names = np.ones((2, 1, 4, 4)), ["a", "b"]
layout = f.Layout(np.random.rand(9, 2), None)
for picture in (
    f.curve_chart([f.Point(1, 10, 0.5)], [], quantity="loss"),
    f.gradient_bars(names, np.ones(2), np.ones(2)),
    f.gradient_heat_map(names, [1], np.ones((2, 1))),
    f.activation_heat_map(names, [1], np.ones((2, 1))),
    f.confusion_matrix_chart(np.eye(2, dtype=int), names),
    f.prediction_sheet(ones, [0, 1], [0, 1], [0.5, 0.5], names),
    f.kernel_grid(ones),
    f.feature_maps(ones, ones, [[], []]),
    f.mean_maps({"a": ones}, ones, [[], []]),
    f.filter_response(ones[:, 0], ones[:, 0], {"a": ones[0]}),
    f.projection_chart(layout, np.zeros(9, int), names, method="pca"),
):
    encode(picture)
f.projection_film([layout, layout], np.zeros(9, int), names, method="pca", titles=["1", "2"])
print(*sys.modules)
"""
    loaded = {name.split(".")[0] for name in in_a_fresh_interpreter(code)}
    assert {"numpy", "PIL"} <= loaded
    assert not loaded & {"matplotlib", "torch"}  # seconds of each helper's start


def test_no_module_uses_pyplot():
    # Lightning itself loads pyplot, through torchmetrics: it is taken away before our modules are loaded.
    code = f"""
import sys, pytorch_lightning, torch.utils.tensorboard, matplotlib
sys.modules.pop("matplotlib.pyplot", None)
vars(matplotlib).pop("pyplot", None)
{EVERY_MODULE}
load("lightning_cnnviz")
print(*sys.modules)
"""
    loaded = set(in_a_fresh_interpreter(code))
    assert {
        "lightning_cnnviz.presets",
        "lightning_cnnviz.output.writer",
        "lightning_cnnviz.callbacks.kernel_grid",
    } <= loaded
    assert "matplotlib.pyplot" not in loaded


@pytest.mark.parametrize("name", ["lightning_cnnviz", "lightning_cnnviz.callbacks", "lightning_cnnviz.functional"])
def test_every_public_name_is_there_once(name):
    package = importlib.import_module(name)
    assert package.__all__ == sorted(set(package.__all__))
    for public in package.__all__:
        thing = getattr(package, public)
        assert thing.__name__ == public
        assert thing.__module__.startswith("lightning_cnnviz.")
        assert thing is getattr(package, public)
        assert not (Path(package.__file__).parent / f"{public}.py").exists(), "a module that hides what it holds"
        assert not (Path(package.__file__).parent / public).exists()
    assert set(package.__all__) <= set(dir(package))


def test_the_public_names_hold_the_documented_ones():
    documented = {
        "ActivationMaximization", "ActivationStats", "Architecture", "ClassReport", "CostLimit", "Diagnosis",
        "EmbeddingProjection", "FeatureMaps", "FilterResponse", "GradientFlow", "InputPartition", "KernelGrid",
        "LossAccuracy", "MaximallyActivatingPatches", "Probe", "RunReport", "Saliency", "SampleHistory",
        "cnnviz_callbacks", "look", "show",
    }  # fmt: skip
    assert documented <= set(lightning_cnnviz.__all__)
    assert {"VisualCallback", "ListeningCallback", "ProbingCallback"} < set(lightning_cnnviz.callbacks.__all__)
    assert {"kernel_grid", "feature_maps", "project", "record"} < set(lightning_cnnviz.functional.__all__)


def test_every_visual_is_exported_by_the_package_and_by_its_callbacks():
    files = {path.stem for path in (ROOT / "lightning_cnnviz" / "callbacks").glob("*.py")}
    visuals = files - {"__init__", "base", "following", "guarded", "listening", "probing", "tapping"}
    classes = {"".join(map(str.capitalize, name.split("_"))) for name in visuals}
    assert classes <= set(lightning_cnnviz.__all__)
    assert classes <= set(lightning_cnnviz.callbacks.__all__)


# ---- the house


FLOORS = ("errors", "rng", "schedule", "lightning", "data", "model", "worker", "functional", "tensorboard_plugin",
          "report", "export", "statistics", "output", "callbacks", "presets", "auto", "__main__")  # fmt: skip
"""Each imports only from itself and from those before it; the tab, which stands apart, only the schema of its data."""


def imports_of_modules():
    """Module → modules of ours that it imports, wherever in its code; not those for type checkers only."""
    found = {}
    for path in sorted((ROOT / "lightning_cnnviz").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = []
        found[name] = {
            node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lightning_cnnviz.")
        }
    return found


def test_imports_go_down_from_floor_to_floor():
    for name, imported in imports_of_modules().items():
        own = name.split(".")[1]
        if own == "__init__":
            continue
        for other in (module.split(".")[1] for module in imported):
            assert other == own or FLOORS.index(other) < FLOORS.index(own), f"{name} imports from {other}"
    tab = {name: seen for name, seen in imports_of_modules().items() if ".tensorboard_plugin." in name}
    outside = {module for seen in tab.values() for module in seen if ".tensorboard_plugin." not in module}
    assert outside == {"lightning_cnnviz.functional.tab.schema"}


def test_no_modules_import_each_other_in_a_circle():
    imports = imports_of_modules()
    waiting = set(imports)
    while waiting:
        free = {name for name in waiting if not imports[name] & waiting - {name}}
        assert free, f"a circle among {sorted(waiting)}"
        waiting -= free


def test_the_pictures_know_no_lightning_and_the_callbacks_no_matplotlib():
    for path in (ROOT / "lightning_cnnviz").rglob("*.py"):
        room, source = path.relative_to(ROOT / "lightning_cnnviz").parts[0], path.read_text(encoding="utf-8")
        if room in ("functional", "tensorboard_plugin", "report", "export"):
            assert not re.search(r"^\s*(from|import) (pytorch_)?lightning\b", source, re.MULTILINE), path
        if room == "callbacks":
            assert not re.search(r"^\s*(from|import) matplotlib\b", source, re.MULTILINE), path


def test_the_tests_mirror_the_source():
    for path in (ROOT / "lightning_cnnviz").rglob("*.py"):
        if path.name != "__init__.py" and "tensorboard_plugin" not in path.parts:
            place = path.relative_to(ROOT / "lightning_cnnviz")
            if (ROOT / "lightning_cnnviz" / "callbacks" / place.name).exists():  # both share one
                place = Path("callbacks", place.name)
            assert (ROOT / "tests" / place.with_name(f"test_{place.name}")).exists(), f"no tests of {place}"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'lightning_cnnviz' has no attribute 'KernelGrit'"):
        lightning_cnnviz.KernelGrit  # noqa: B018
    assert not hasattr(lightning_cnnviz, "nonsense")


def test_the_version_is_that_of_the_distribution():
    assert lightning_cnnviz.__version__ == version("lightning-cnnviz")


def test_documents_show_pictures_that_are_there_and_no_others():
    shown = {
        (document.parent / place).resolve()
        for document in (ROOT / "README.md", ROOT / "docs" / "systems.md", *(ROOT / "docs" / "callbacks").glob("*.md"))
        for place in re.findall(r"[\w/.]*images/\w+\.png", document.read_text(encoding="utf-8"))
    }
    assert shown == {path.resolve() for path in (ROOT / "docs" / "images").iterdir()}


def test_the_tests_that_documents_name_are_there():
    named = {
        (path, test)
        for document in (ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"))
        if document.name != "add_a_visual.md"  # whose files are the reader's
        for path, test in re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", document.read_text(encoding="utf-8"))
    }
    assert named
    for path, test in named:
        assert f"def {test}" in (ROOT / path).read_text(encoding="utf-8"), f"no {test} in {path}"
