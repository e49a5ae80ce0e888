"""What is loaded is data and no code, and what is installed is none of the releases that are known to be malicious."""

import ast
from pathlib import Path

import pytest
from packaging.requirements import Requirement

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
MALICIOUS = [
    ("pytorch-lightning", "2.6.2"),
    ("pytorch-lightning", "2.6.3"),
    ("lightning", "2.6.2"),
    ("lightning", "2.6.3"),
]
LOADERS = {"pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "dill.load", "eval", "exec"}
BY_DESIGN = {("lightning_cnnviz/worker/channel.py", "pickle.loads")}
"""From the helper that the process has started itself."""


def calls():
    """Every call in the package and the recipes: file, what is called, its keyword arguments."""
    for path in sorted([*ROOT.glob("lightning_cnnviz/**/*.py"), *ROOT.glob("recipes/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                yield path.relative_to(ROOT).as_posix(), ast.unparse(node.func), options


def test_nothing_unpickles_code():
    loads = [(file, options) for file, name, options in calls() if name == "torch.load"]
    assert loads
    assert [file for file, options in loads if options.get("weights_only") != "True"] == []
    assert [
        options for _, name, options in calls() if name in ("np.load", "numpy.load") and "allow_pickle" in options
    ] == []
    assert {(file, name) for file, name, _ in calls() if name in LOADERS} == BY_DESIGN


@pytest.mark.parametrize(("name", "version"), MALICIOUS)
def test_malicious_releases_are_excluded(name, version):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = [Requirement(line) for group in groups for line in group]
    assert any(one.name == "pytorch-lightning" for one in wanted)
    assert [str(one) for one in wanted if one.name == name and one.specifier.contains(version)] == []
