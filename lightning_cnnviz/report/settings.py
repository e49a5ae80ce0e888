"""The settings of a run, as Lightning keeps them beside its event files: `hparams.yaml` and `config.yaml`."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import yaml

from lightning_cnnviz.tensorboard_plugin.event_files import open_file

FILES = ("hparams.yaml", "config.yaml")
LEFT_OUT = ("trainer.callbacks", "trainer.logger")
"""Settings of how a run is watched, not of what is trained."""
SECRETS = {"password", "passwd", "pwd", "passphrase", "secret", "credential", "auth", "authorization", "bearer"}
SECRET_IF_TEXT = {"token", "key", "apikey", "accesskey"}
"""Words of names whose values are left out; numbers, as of `max_tokens`, are no keys."""
MAX_LETTERS = 200
MAX_SETTINGS = 500

Row = tuple[str, str]


class _Loader(yaml.SafeLoader):
    """Reads objects that YAML does not know as what stands there; nothing is imported or run."""


def _as_written(loader: _Loader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.ScalarNode)  # there is no fourth kind
    return loader.construct_scalar(node) or tag.rpartition(":")[2]


_Loader.add_multi_constructor("", _as_written)


def settings(folder: str) -> list[Row]:
    """Returns the settings of a run by their full names; what is not set, and the values of secrets, are left out.

    A file that is missing or cannot be read has none.

    Args:
        folder: Of the run.
    """
    found: dict[str, str] = {}
    for name in FILES:
        try:
            with open_file(f"{folder}/{name}") as file:
                read = yaml.load(file, _Loader)  # a safe loader
            if isinstance(read, dict):
                found |= dict(itertools.islice(flat(read), MAX_SETTINGS))
        except (OSError, ValueError, yaml.YAMLError, RecursionError):
            continue
    return list(found.items())


def flat(value: Any, name: str = "") -> Iterator[Row]:
    """Yields names and values of nested settings.

    Example:
        >>> list(flat({"model": {"lr": 0.1, "sizes": [3, 3], "seed": None}, "api_key": "x"}))
        [('model.lr', '0.1'), ('model.sizes', '3, 3'), ('api_key', '(left out)')]
    """
    if name in LEFT_OUT or value is None or value in ({}, []):
        return
    if isinstance(value, dict):
        for key, each in value.items():
            # `init_args` and `class_path` are how Lightning's command line writes an object.
            parts = [part for part in (name, str(key)) if part not in ("", "init_args", "class_path")]
            yield from flat(each, ".".join(parts))
    elif isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        for k, each in enumerate(value):
            yield from flat(each, f"{name}.{k}")
    elif _is_secret(name, value):
        yield name, "(left out)"
    else:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield name, text if len(text) <= MAX_LETTERS else f"{text[:MAX_LETTERS]}…"


def _is_secret(name: str, value: Any) -> bool:
    """Whether the name of a setting tells of a secret, in any of the ways in which names are written."""
    words = {word.lower().removesuffix("s") for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
    return bool(words & SECRETS or (words & SECRET_IF_TEXT and not isinstance(value, (int, float))))
