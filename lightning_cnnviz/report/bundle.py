"""The page's ES modules as one script, and its style sheets as one, for a page that is a file.

A browser loads no module from `file://`, and an import map of `data:` addresses needs a policy that lets any such
script run; one inline script can be allowed by its hash alone.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import lightning_cnnviz.tensorboard_plugin as plugin

STATIC = Path(plugin.__file__).parent / "static"
COLOURS = Path(plugin.__file__).parents[1] / "functional" / "drawing" / "colours.json"
ENTRY = "report.js"
INSTEAD = {"data/api.js": "data/embedded.js"}
"""Modules of the tab → those that a page that is a file has in their place, with the same functions."""
STYLES = ("style.css", "windows.css", "report.css")

IMPORT = re.compile(r'^import (?:\* as (?P<all>\w+)|\{(?P<names>[^}]*)\}) from "(?P<path>[^"]+)";\n', re.MULTILINE)
EXPORT = re.compile(
    r"^export (?=(?:async )?(?:function|class|const) (?:(?P<name>\w+)|\[(?P<names>[^\]]*)\]))", re.MULTILINE
)


@cache
def script() -> str:
    """Returns all modules that the page needs as one, each in a function of its own, those it imports before it.

    Raises:
        ValueError: If a module has an import or export of another form than the page's own.

    Example:
        >>> "embedded" in script(), "fetch(route" in script()
        (True, False)
    """
    parts: dict[str, str] = {}
    _add(ENTRY, parts)
    *others, entry = parts.values()
    return "const modules = {};\n" + "".join(others) + entry


@cache
def style() -> str:
    """Returns the style sheets, one after the other."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in STYLES)


@cache
def colours() -> Any:
    """Returns the colours of values and classes."""
    return json.loads(COLOURS.read_text(encoding="utf-8"))


def _add(name: str, parts: dict[str, str]) -> None:
    """Adds a module to the parts, after those that it imports."""
    source = (STATIC / name).read_text(encoding="utf-8")
    for found in IMPORT.finditer(source):
        other = _resolved(name, found["path"])
        if other not in parts:
            _add(other, parts)
    parts[name] = _wrapped(name, source)


def _wrapped(name: str, source: str) -> str:
    exported = [
        each.strip() for found in EXPORT.finditer(source) for each in (found["name"] or found["names"]).split(",")
    ]
    body = IMPORT.sub(lambda found: _binding(name, found), EXPORT.sub("", source))
    if re.search(r"^(import|export)\b", body, re.MULTILINE) or "</script" in body or "<!--" in body:
        raise ValueError(f"{name} has an import, an export or a tag that cannot be put into one script")
    if name == ENTRY:
        return f"// {name}\n{body}"
    return f'// {name}\nmodules["{name}"] = (() => {{\n{body}return {{ {", ".join(exported)} }};\n}})();\n'


def _binding(name: str, found: re.Match[str]) -> str:
    names = found["all"] or "{" + found["names"].replace(" as ", ": ") + "}"
    return f'const {names} = modules["{_resolved(name, found["path"])}"];\n'


def _resolved(name: str, path: str) -> str:
    found = (STATIC / name).parent.joinpath(path).resolve().relative_to(STATIC.resolve()).as_posix()
    return INSTEAD.get(found, found)
