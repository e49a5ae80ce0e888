import re

import pytest
from helpers.tiny import TinyNet
from hypothesis import given
from hypothesis import strategies as st
from tensorboard_plugin.synthetic_run import HOSTILE

from lightning_cnnviz.export.model_table import Column, as_latex, as_markdown, latex, model_columns, model_sums

SPECIAL = re.compile(r"(?<!\\)[&%$#_{}~^]")
LAYER = {"name": "fc", "kind": "Linear", "shape": [3], "parameters": 15, "trainable": 15}


def cells(line):
    """The cells of a row of LaTeX."""
    assert line.endswith(r" \\")
    return [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))]


def test_the_tables_have_the_layers_of_the_model_with_their_parameters(exported):
    markdown, tex = ((exported.folder / "tables" / f"model.{ending}").read_text() for ending in ("md", "tex"))
    layers = {name: layer for name, layer in TinyNet().named_modules() if name and not list(layer.children())}
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines() if "|" in line]
    head, _, *body = rows
    assert head == ["layer", "kind", "output shape", "parameters", "multiply-adds"]
    assert [(name, kind, int(count.replace(",", ""))) for name, kind, _, count, _ in body] == [
        (name, type(layer).__name__, sum(one.numel() for one in layer.parameters())) for name, layer in layers.items()
    ]
    assert body[0][2:] == ["4 × 8 × 8", "40", f"{4 * 9 * 64:,}"]
    assert f"{sum(one.numel() for one in TinyNet().parameters()):,} parameters in these layers" in markdown
    lines = [cells(line) for line in tex.splitlines() if line.endswith(r"\\")]
    assert lines[0] == head
    assert [[cell.replace(r"$\times$", "×") for cell in line] for line in lines[1:]] == body


@pytest.mark.parametrize(("count", "name"), [(40, "tabular"), (41, "longtable")])
def test_the_structure_of_the_latex_is_whole(count, name):
    columns = model_columns([LAYER] * count)
    lines = as_latex("Net_1", columns, model_sums([LAYER] * count)).splitlines()
    code = [line for line in lines if not line.startswith("%")]
    assert code[0] == rf"\begin{{{name}}}{{llrr}}"
    assert code[-1] == rf"\end{{{name}}}"
    assert code.count(r"\toprule") == code.count(r"\midrule") == code.count(r"\bottomrule") == 1
    rows = [cells(line) for line in code if line.endswith(r"\\")]
    assert len(rows) == 1 + count
    assert {len(row) for row in rows} == {4}


@given(st.one_of(st.text(), st.sampled_from(HOSTILE), st.text(r"\{}$&#%_^~-,<>|`'[*" + '"')))
def test_any_name_is_text_and_a_single_cell(name):
    escaped = latex(name)
    bare = re.sub(r"\\text\w+\{\}|\$\\times\$|\\[&%$#_{}]|\{\}", "", escaped)
    assert not set(bare) & set(r"\&%$#_{}~^<>|" + "\"'`")
    assert "--" not in bare or "–" in name or "{}" in escaped
    assert len(escaped.splitlines()) <= 1
    row = as_latex("t", [Column("a", False, [name])], "").splitlines()[6]
    assert len(cells(row)) == 1
    assert not row.startswith(("[", "*"))
    table = as_markdown("t", [Column("a", False, [name]), Column("b", True, ["1"])], "")
    assert len(re.findall(r"\|", table.splitlines()[4])) == 3


def test_what_was_not_recorded_has_no_column_and_no_sum():
    assert [column.title for column in model_columns([LAYER])] == ["layer", "kind", "output shape", "parameters"]
    assert "multiply-adds" not in model_sums([LAYER])
    frozen = {**LAYER, "trainable": 0, "runs": 3, "multiply_adds": 12, "shape": None}
    columns = {column.title: column.cells for column in model_columns([frozen])}
    assert columns == {
        **{"layer": ["fc"], "kind": ["Linear, 3 runs"], "output shape": ["–"]},
        **{"parameters": ["15"], "trainable": ["0"], "multiply-adds": ["12"]},
    }
    assert "15 parameters in these layers, 0 of them trainable, 12 multiply-adds" in model_sums([frozen])
