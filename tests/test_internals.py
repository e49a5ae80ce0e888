"""Private parts of other libraries are used in few files only, each of which a test of its own watches over."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "lightning_cnnviz"
SOURCES = sorted(ROOT.rglob("*.py"))

ALLOWED = {
    "model/torch_internals.py": {
        "_compiled_call_impl",
        "_compiler_ctx",
        "_foreach_copy_",
        "_foreach_norm",
        "_forward_pre_hooks",
        "_orig_mod",
        "_raw_saved_self",
        "_raw_saved_target",
        "_raw_saved_weight",
        "_saved_self",
        "_saved_target",
        "_saved_weight",
        "_schema",
        "_step_supports_amp_scaling",
        "_version",
        "torch.utils._python_dispatch",
    },
    "output/tensorboard_internals.py": {
        "_async_writer",
        "_file_name",
        "_get_file_writer",
        "_writer",
        "tensorboard.compat.proto",
    },
    "lightning.py": {"_current_fx_name", "_results"},
    "model/independent_copy.py": {"_trainer"},  # a copy has none, and this room knows nothing of Lightning
    "output/event_file.py": {"_writer"},  # what `record_writer` gives, with its file
    "output/sinks/wandb.py": {"_prefix"},  # of the logger; its own `log_metrics` would advance the run's step
    "tensorboard_plugin/event_files.py": {"tensorboard.compat.proto"},  # TensorBoard's own type of a record
    "model/execution_trace.py": {"_cudnn_rnn"},  # the name of an operator, which the counter takes by it
}
"""File → private parts of other libraries in it."""
PUBLIC = {"_replace", "_fields", "_asdict", "_make", "_exit", "_repr_html_"}
"""Names that begin with an underscore and are documented: of named tuples, `os` and IPython."""


@cache
def own_names():
    """Private attributes, methods and functions that the package itself defines."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
                found.add(node.attr)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in found if is_private(name)}


def is_private(name):
    return name.startswith("_") and not name.endswith("__") and name != "_"


def is_self(node):
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def foreign_parts(source, ours=frozenset()):
    """Private parts of others in a source: attributes, also by `getattr`, names and modules that are imported."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_self(node.value):
            own = node.attr in ours or ast.unparse(node.value) == "super()"
            if not own and node.attr not in PUBLIC:
                yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr", "delattr"):
            name = node.args[1] if len(node.args) > 1 else None
            if isinstance(name, ast.Constant) and is_private(str(name.value)) and name.value not in ours | PUBLIC:
                yield name.value
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
            names = [name.name for name in node.names] if isinstance(node, ast.ImportFrom) else []
            if modules[0].startswith("lightning_cnnviz"):
                continue
            yield from (name for name in names if is_private(name))
            for module in modules:
                if module.startswith("tensorboard.compat.proto"):
                    yield "tensorboard.compat.proto"
                elif any(is_private(part) for part in module.split(".")):
                    yield module


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_private_parts_of_other_libraries_are_used_only_where_they_are_watched(path):
    found = set(foreign_parts(path.read_text(encoding="utf-8"), own_names()))
    allowed = ALLOWED.get(path.relative_to(ROOT).as_posix(), set())
    assert found <= allowed, f"{path.relative_to(ROOT)}: {', '.join(sorted(found - allowed))}"


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_is_used(name):
    found = set(foreign_parts((ROOT / name).read_text(encoding="utf-8"), own_names() - ALLOWED[name]))
    assert found >= ALLOWED[name], f"no longer used in {name}: {', '.join(sorted(ALLOWED[name] - found))}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("tensor._version", ["_version"]),
        ("module.layer._buffers.update({})", ["_buffers"]),
        ("getattr(model, '_orig_mod', model)", ["_orig_mod"]),
        ("from torch import _dynamo", ["_dynamo"]),
        ("import torch._inductor.config", ["torch._inductor.config"]),
        ("from torch._C import Node", ["torch._C"]),
        ("from tensorboard.compat.proto.summary_pb2 import Summary", ["tensorboard.compat.proto"]),
        ("import tensorboard.compat.proto.event_pb2 as e", ["tensorboard.compat.proto"]),
        ("self._own; cls._shared; super()._end(); row._replace(a=1); x.__dict__; type(x).__name__", []),
        ("from lightning_cnnviz.a import _b; for_, _ = 1, 2", []),
    ],
)
def test_private_parts_are_found_in_whatever_way_they_are_used(source, found):
    assert list(foreign_parts(source)) == found


def test_names_of_our_own_do_not_hide_those_of_others():
    hidden = own_names() & {name for names in ALLOWED.values() for name in names}
    assert hidden == set(), "a private name of ours is one that is watched"


def test_every_file_that_may_use_them_has_its_test():
    tests = Path(__file__).parent
    for name in ("model/torch_internals.py", "output/tensorboard_internals.py"):
        assert (tests / name).with_name(f"test_{Path(name).name}").exists()


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (r"^\s*(from|import) umap\b", "functional/projection/umap.py"),
        (r"\btrainer\.(validating|training|testing|predicting|sanity_checking) = ", "lightning.py"),
        (r"\brank_zero\.log\b", "lightning.py"),
    ],
    ids=["umap-learn", "stages of a trainer", "Lightning's logger"],
)
def test_what_is_public_by_name_but_in_no_documentation_is_used_in_one_file(pattern, name):
    found = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found == {name}
