import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import lightning_cnnviz

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
    assert {"lightning_cnnviz.functional.kernels", "lightning_cnnviz.functional.projection", "torch"} <= loaded
    tops = {name.split(".")[0] for name in loaded}
    assert not tops & {"pytorch_lightning", "lightning_fabric", "lightning", "tensorboard"}
    assert "matplotlib.pyplot" not in loaded


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
    assert {"lightning_cnnviz.presets", "lightning_cnnviz.writer", "lightning_cnnviz.callbacks.kernel_grid"} <= loaded
    assert "matplotlib.pyplot" not in loaded


def test_every_public_name_is_there_once():
    assert len(set(lightning_cnnviz.__all__)) == len(lightning_cnnviz.__all__)
    for name in lightning_cnnviz.__all__:
        thing = getattr(lightning_cnnviz, name)
        assert thing.__name__ == name
        assert thing.__module__.startswith("lightning_cnnviz.")
        assert thing is getattr(lightning_cnnviz, name)
    assert set(lightning_cnnviz.__all__) <= set(dir(lightning_cnnviz))


def test_the_public_names_hold_the_documented_ones():
    documented = {
        "ActivationMaximization", "Architecture", "ClassReport", "CostLimit", "EmbeddingProjection", "FeatureMaps",
        "FilterResponse", "GradientFlow", "InputPartition", "KernelGrid", "LossAccuracy", "Probe", "cnnviz_callbacks",
    }  # fmt: skip
    assert documented == set(lightning_cnnviz.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'lightning_cnnviz' has no attribute 'KernelGrit'"):
        lightning_cnnviz.KernelGrit  # noqa: B018
    assert not hasattr(lightning_cnnviz, "nonsense")


def test_the_version_is_that_of_the_distribution():
    assert lightning_cnnviz.__version__ == version("lightning-cnnviz")


def test_documents_show_pictures_that_are_there_and_no_others():
    root = Path(__file__).resolve().parents[1]
    shown = {
        (document.parent / place).resolve()
        for document in (root / "README.md", root / "docs" / "systems.md")
        for place in re.findall(r"[\w/]*images/\w+\.png", document.read_text(encoding="utf-8"))
    }
    assert shown == {path.resolve() for path in (root / "docs" / "images").iterdir()}
