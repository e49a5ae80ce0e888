"""What writer and reader of the tab's data agree on, and that the agreement costs the reader nothing."""

import ast
import json
import re
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np

from lightning_cnnviz.functional.tab import schema
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.tensorboard_plugin.plugin import CNNVizPlugin

PACKAGE = Path(schema.__file__).resolve().parents[2]


def test_it_imports_nothing():
    tree = ast.parse(Path(schema.__file__).read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


def test_data_name_the_version_that_they_are_written_in():
    data = TabData("kernels", {"layer": "conv1"}, {}, {"low": np.zeros(1, np.float32)})
    assert json.loads(data.metadata()) == {"schema": schema.SCHEMA, "kind": "kernels", "layer": "conv1"}
    assert data.tag.startswith(f"{schema.PLUGIN_NAME}/")
    assert isinstance(schema.SCHEMA, int)
    assert schema.SCHEMA >= 1


def test_the_plugin_and_its_entry_point_have_the_name():
    assert CNNVizPlugin.plugin_name == schema.PLUGIN_NAME
    found = [point for point in entry_points(group="tensorboard_plugins") if point.name == schema.PLUGIN_NAME]
    assert {point.value.partition(":")[0] for point in found} == {"lightning_cnnviz.tensorboard_plugin.loader"}


def test_a_name_for_a_plugin_is_a_part_of_a_path():
    assert re.fullmatch(r"[a-z][a-z0-9_]*", schema.PLUGIN_NAME)
