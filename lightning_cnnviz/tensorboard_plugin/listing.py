"""The list of a run's series, as the page takes it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lightning_cnnviz.functional.tab.schema import SCHEMA
from lightning_cnnviz.tensorboard_plugin.series import Series


def listing(found: Mapping[str, Series], problems: Sequence[str]) -> dict[str, tuple[str, list[Any]]]:
    """Returns series, timelines (each distinct list of steps, once) and problems, each of them with its digest.

    Args:
        found: Tag → series.
        problems: What is damaged, in sentences.

    Example:
        >>> one = Series({"schema": 1, "kind": "curves"})
        >>> one.add(5, 1.7e9, 0)
        >>> {name: part for name, (_, part) in listing({"cnnviz/curves": one}, []).items()}["timelines"]
        [[5]]
    """
    timelines: dict[bytes, tuple[int, list[int]]] = {}
    listed, unsupported = [], set()
    for tag, series in found.items():
        schema = series.identity.get("schema")
        if schema != SCHEMA:
            unsupported.add(_schema_problem(tag, schema))
            continue
        key = series.steps.tobytes()
        if key not in timelines:
            timelines[key] = len(timelines), series.steps.tolist()
        listed.append({**series.identity, "tag": tag, "timeline": timelines[key][0], "since": series.since})
    steps = [each for _, each in timelines.values()]
    parts: dict[str, list[Any]] = {"series": listed, "timelines": steps, "problems": [*problems, *sorted(unsupported)]}
    return {name: (_digest(name, part), part) for name, part in parts.items()}


def _digest(name: str, part: list[Any]) -> str:
    return hashlib.sha1(f"{name}{json.dumps(part)}".encode(), usedforsecurity=False).hexdigest()


def _schema_problem(tag: str, schema: Any) -> str:
    if isinstance(schema, int) and schema > SCHEMA:
        return (
            f"Some data were written by a newer lightning-cnnviz (expected schema {SCHEMA}, got {schema}). "
            "Upgrade lightning-cnnviz in TensorBoard's environment."
        )
    return f"{tag} has an unsupported schema (expected {SCHEMA}, got {schema!r})."
