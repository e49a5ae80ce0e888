"""What the reference needs beyond autodoc: short names for long types, and an entry for everything public."""

import re
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path

from sphinx.addnodes import desc_content
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

ANY_SHAPE = r"~?numpy\.ndarray\[tuple\[(?:~?typing\.)?Any, \.\.\.\], ~?numpy\.dtype\[~?numpy\.(\w+)\]\]"
NAMES = {
    r"~?collections\.abc\.Sequence\[str\] \| ~?collections\.abc\.Mapping\[int, str\]": "ClassNames",
    r"torch\.Tensor \| npt\.NDArray\[np\.integer\] \| Sequence\[int\]": "Labels",
    r"torch\.Tensor \| npt\.NDArray\[np\.generic\]": "~torch.Tensor | ~numpy.ndarray",
    r"~?torch\.nn\.modules\.(module|conv)\.(?=\w)": "~torch.nn.",
    r"~?torch\.nn\.parameter\.Parameter": "~torch.nn.Parameter",
    r"(?<![\w.~])(nn\.Module|torch\.Tensor)": r"~\g<0>",
    r"~nn\.Module": "~torch.nn.Module",
    r"~?lightning_cnnviz\.lightning\.Callback": "~pytorch_lightning.Callback",
}
"""Patterns of types that are written out → names that people know."""
REST = "<!-- whatever else is public -->"
"""Stands on a page for the entries of names of `PAGES` that no page describes."""
PAGES = {"api/package": "lightning_cnnviz", "api/functional/index": "lightning_cnnviz.functional"}


def shorter(annotation: str) -> str:
    """Replace types that are written out by the names that the reference explains."""
    annotation = re.sub(ANY_SHAPE, lambda found: "Picture" if found[1] == "uint8" else "~numpy.ndarray", annotation)
    for pattern, name in NAMES.items():
        annotation = re.sub(pattern, name, annotation)
    return annotation


def shorten_annotations(app: Sphinx, domain: str, kind: str, content: desc_content) -> None:
    """Shorten the types that autodoc has recorded, before it writes them into the fields."""
    for recorded in app.env.current_document.autodoc_annotations.values():
        recorded.update({name: shorter(annotation) for name, annotation in recorded.items()})


def escape(app: Sphinx, kind: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Escape what is no markup: docstrings here are plain text with `code`, so that `*` and `|` are themselves."""
    for index, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(`[^`]*`)", line)
            lines[index] = "".join(
                part if part[:1] == "`" else re.sub(r"(?<!\\)([*|])", r"\\\1", part) for part in parts
            )


def shorten_types(app: Sphinx, kind: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Shorten the types that napoleon has written."""
    lines[:] = [shorter(line) if re.match(r"\s*:(var)?type\b", line) else line for line in lines]


def add_the_rest(app: Sphinx, page: str, source: list[str]) -> None:
    """Describe what a package exports and no page describes, such as what was added just now."""
    if REST not in source[0]:
        return
    package = import_module(PAGES[page])
    texts = [path.read_text(encoding="utf-8") for path in Path(app.srcdir).glob("[ac]*/**/*.md")]
    described = {
        name.rpartition(".")[2] for text in texts for name in re.findall(r"auto(?:class|function):: (\S+)", text)
    }
    rest = [name for name in package.__all__ if name not in described]
    entries = [
        f".. auto{'class' if isinstance(getattr(package, name), type) else 'function'}:: {package.__name__}.{name}\n"
        for name in rest
    ]
    block = "\n".join(["## More", "", "```{eval-rst}", *entries, "```"])
    source[0] = source[0].replace(REST, block if rest else "")


def _without_overloads(
    analyze: Callable[[ModuleAnalyzer], None],
) -> Callable[[ModuleAnalyzer], None]:
    """Have a function with overloads shown once: they tell type checkers what the fields below tell people."""

    @wraps(analyze)
    def analyzed(self: ModuleAnalyzer) -> None:
        analyze(self)
        self.overloads.clear()

    return analyzed


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("object-description-transform", shorten_annotations, priority=400)
    app.connect("autodoc-process-docstring", escape, priority=400)  # napoleon comes at 500
    app.connect("autodoc-process-docstring", shorten_types, priority=600)
    app.connect("source-read", add_the_rest)
    ModuleAnalyzer.analyze = _without_overloads(ModuleAnalyzer.analyze)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
