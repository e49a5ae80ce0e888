"""Reads the tab's data from the event file of a run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Record = tuple[int, dict[str, Any], dict[str, np.ndarray]]


def records(folder: Path, tag: str) -> list[Record]:
    """(step, header, arrays) of each record of `cnnviz/<tag>`; none if there is no such tag."""
    reader = EventAccumulator(str(folder / "run"), size_guidance={"tensors": 0}).Reload()
    found = []
    for event in reader.Tensors(f"cnnviz/{tag}") if f"cnnviz/{tag}" in reader.Tags()["tensors"] else []:
        header, payload = event.tensor_proto.string_val
        described, arrays, at = json.loads(header), {}, 0
        for one in described.pop("arrays"):
            count = int(np.prod(one["shape"]))
            arrays[one["name"]] = np.frombuffer(payload, one["dtype"], count, at).reshape(one["shape"])
            at += arrays[one["name"]].nbytes
        found.append((event.step, described, arrays))
    return found
