"""The table of a model's layers, as Markdown and as LaTeX."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning_cnnviz.export.source import Source
from lightning_cnnviz.functional.escaping import markdown, one_line

MAX_ROWS_ON_A_PAGE = 40
"""A longer table is a `longtable` in LaTeX, which goes on on the next page."""
ESCAPED = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}"},
    **{"'": r"\textquotesingle{}", "`": r"\textasciigrave{}", "×": r"$\times$", "–": "--", "\0": "{}"},
}
"""Signs that LaTeX reads as commands, or that its older font encodings show as others."""


class Column(NamedTuple):
    """A column of the table: its headline, whether it has numbers, and its cells."""

    title: str
    numbers: bool
    cells: list[str]


def write_model_table(source: Source, folder: Path) -> None:
    """Writes `model.md` and `model.tex`, if the run has recorded a model.

    Args:
        source: The run.
        folder: For the files.
    """
    frame = source.whole_run("model")
    layers = [] if frame is None else frame.info.get("layers") or []
    if frame is None or not layers:
        return
    columns, sums = model_columns(layers), model_sums(layers)
    title = f"{one_line(str(frame.info.get('name') or 'model'))}, input {_shape(frame.info.get('input_shape'))}"
    folder.mkdir(parents=True, exist_ok=True)
    for ending, text in (("md", as_markdown(title, columns, sums)), ("tex", as_latex(title, columns, sums))):
        (folder / f"model.{ending}").write_text(text, encoding="utf-8")


def model_columns(layers: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Returns the columns for the layers of a model's record; multiply-adds as far as they were recorded.

    Example:
        >>> layer = {"name": "fc", "kind": "Linear", "shape": [10], "parameters": 1234, "trainable": 1234}
        >>> [(column.title, column.cells) for column in model_columns([layer])][2:]
        [('output shape', ['10']), ('parameters', ['1,234'])]
    """
    runs = [int(layer.get("runs") or 1) for layer in layers]
    kinds = [str(layer.get("kind")) for layer in layers]
    kinds = [f"{kind}, {count} runs" if count > 1 else kind for kind, count in zip(kinds, runs, strict=True)]
    columns = [
        Column("layer", False, [str(layer.get("name") or "(the model itself)") for layer in layers]),
        Column("kind", False, kinds),
        Column("output shape", True, [_shape(layer.get("shape")) for layer in layers]),
        Column("parameters", True, [_number(layer.get("parameters")) for layer in layers]),
    ]
    if any(layer.get("trainable") != layer.get("parameters") for layer in layers):
        columns.append(Column("trainable", True, [_number(layer.get("trainable")) for layer in layers]))
    if all("multiply_adds" in layer for layer in layers):
        columns.append(Column("multiply-adds", True, [_number(layer["multiply_adds"]) for layer in layers]))
    return columns


def model_sums(layers: Sequence[Mapping[str, Any]]) -> str:
    """Returns the sums over the layers in words."""
    parts = [f"{sum(layer.get('parameters') or 0 for layer in layers):,} parameters in these layers"]
    parts.append(f"{sum(int(layer.get('trainable') or 0) for layer in layers):,} of them trainable")
    if all("multiply_adds" in layer for layer in layers):
        parts.append(f"{sum(layer['multiply_adds'] for layer in layers):,} multiply-adds per sample, without biases")
    return ", ".join(parts)


def as_markdown(title: str, columns: Sequence[Column], sums: str) -> str:
    """Returns the table as Markdown.

    Example:
        >>> print(as_markdown("Net", [Column("layer", False, ["a|b"]), Column("parameters", True, ["15"])], "15"))
        **Net**
        <BLANKLINE>
        | layer | parameters |
        |:--|--:|
        | a&#124;b | 15 |
        <BLANKLINE>
        15
        <BLANKLINE>
    """
    rows = ["| " + " | ".join(map(markdown, cells)) + " |" for cells in _rows(columns)]
    rule = "|" + "|".join("--:" if column.numbers else ":--" for column in columns) + "|"
    head = "| " + " | ".join(column.title for column in columns) + " |"
    return f"**{markdown(title)}**\n\n" + "\n".join([head, rule, *rows]) + f"\n\n{sums}\n"


def as_latex(title: str, columns: Sequence[Column], sums: str) -> str:
    r"""Returns the table as LaTeX with the rules of booktabs, to be read with `\input`.

    Example:
        >>> print(as_latex("Net", [Column("layer", False, ["fc_1"]), Column("parameters", True, ["15"])], "15"))
        % Net: 15
        % In the preamble: \usepackage{booktabs} \usepackage[T1]{fontenc} \usepackage{textcomp}
        \begin{tabular}{lr}
        \toprule
        layer & parameters \\
        \midrule
        fc\_1 & 15 \\
        \bottomrule
        \end{tabular}
        <BLANKLINE>
    """
    long = len(columns[0].cells) > MAX_ROWS_ON_A_PAGE
    name, packages = ("longtable", "booktabs,longtable") if long else ("tabular", "booktabs")
    lines = [
        f"% {title}: {sums}",
        f"% In the preamble: \\usepackage{{{packages}}} \\usepackage[T1]{{fontenc}} \\usepackage{{textcomp}}",
        f"\\begin{{{name}}}{{{''.join('r' if column.numbers else 'l' for column in columns)}}}",
        "\\toprule",
        " & ".join(latex(column.title) for column in columns) + " \\\\",
        "\\midrule",
        *(["\\endhead"] if long else []),
        *(" & ".join(map(latex, cells)) + " \\\\" for cells in _rows(columns)),
        "\\bottomrule",
        f"\\end{{{name}}}",
    ]
    return "\n".join(lines) + "\n"


def latex(text: str) -> str:
    r"""Escapes a text so that LaTeX shows it literally.

    Example:
        >>> latex("a_b & 50% \\"), latex("3 × 3")
        ('a\\_b \\& 50\\% \\textbackslash{}', '3 $\\times$ 3')
    """
    parted = re.sub(r"([-,])(?=\1)", "\\1\0", one_line(text))  # of two LaTeX would make one sign
    text = "".join(ESCAPED.get(char, char) for char in parted)
    return "{}" + text if text.startswith(("[", "*")) else text  # which would be an argument of the \\ before it


def _rows(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    return list(zip(*(column.cells for column in columns), strict=True))


def _shape(shape: Sequence[int] | None) -> str:
    return "–" if shape is None else " × ".join(map(str, shape)) or "1"


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
