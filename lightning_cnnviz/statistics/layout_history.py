"""The layouts of a run over time: the last one initialises the next, and all of them make up the animation."""

from typing import Any, NamedTuple

import torch

from lightning_cnnviz.functional.drawing.image import Array
from lightning_cnnviz.functional.projection.layout import Layout, Method
from lightning_cnnviz.functional.projection.quality import LayoutQuality
from lightning_cnnviz.functional.thinning import most_dispensable


class LayoutSnapshot(NamedTuple):
    """A layout with its step, title and quality.

    Attributes:
        step: Optimizer step.
        title: Layer, epoch and step as text.
        layout: From `project`.
        quality: From `measure`.
    """

    step: int
    title: str
    layout: Layout
    quality: LayoutQuality


class LayoutHistory:
    """Snapshots for each layer and method.

    Args:
        most: Maximum number of snapshots of each. Beyond it, the one whose neighbours are closest in steps is dropped,
            never the first or the last, so that the rest stay spread over the whole run.

    Example:
        >>> import numpy as np
        >>> history = LayoutHistory(most=4)
        >>> for step in range(1, 6):
        ...     layout = Layout(np.zeros((9, 2)), 3.0)
        ...     history.add("fc1", "tsne", LayoutSnapshot(step, "fc1", layout, LayoutQuality()))
        >>> [snapshot.step for snapshot in history.snapshots["fc1", "tsne"]]
        [1, 2, 3, 5]
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.snapshots: dict[tuple[str, Method], list[LayoutSnapshot]] = {}

    def last(self, layer: str, method: Method, samples: int) -> Array | None:
        """Returns the points of the last layout, shape (samples, 2); None if it has another number of samples."""
        snapshots = self.snapshots.get((layer, method))
        return snapshots[-1].layout.points if snapshots and len(snapshots[-1].layout.points) == samples else None

    def add(self, layer: str, method: Method, snapshot: LayoutSnapshot) -> None:
        """Adds the newest snapshot; snapshots with another number of samples are dropped."""
        snapshots = [*self.snapshots.get((layer, method), ()), snapshot]
        snapshots = [one for one in snapshots if len(one.layout.points) == len(snapshot.layout.points)]
        while len(snapshots) > self.most > 1:
            del snapshots[most_dispensable([one.step for one in snapshots])]
        self.snapshots[layer, method] = snapshots[-max(self.most, 1) :]

    def forget_after(self, step: int) -> None:
        """Drops the snapshots after a step; at step 0 all of them, since the run starts over."""
        kept = {
            key: [snapshot for snapshot in snapshots if snapshot.step <= step]
            for key, snapshots in self.snapshots.items()
        }
        self.snapshots = {key: snapshots for key, snapshots in kept.items() if snapshots and step}

    def state_dict(self) -> dict[tuple[str, Method], list[dict[str, Any]]]:
        """Returns the snapshots for a checkpoint, in plain types and half precision."""
        return {
            key: [
                {
                    "step": snapshot.step,
                    "title": snapshot.title,
                    "points": torch.from_numpy(snapshot.layout.points).half(),
                    "measured": [*snapshot.layout[1:]],
                    "numbers": [float(number) for number in snapshot.quality],
                }
                for snapshot in list(snapshots)
            ]
            for key, snapshots in list(self.snapshots.items())
        }

    def load_state_dict(self, state: dict[tuple[str, Method], list[dict[str, Any]]]) -> None:
        """Restores the result of `state_dict`."""
        self.snapshots = {
            key: [
                LayoutSnapshot(
                    saved["step"],
                    saved["title"],
                    Layout(saved["points"].float().numpy(), *saved["measured"]),
                    LayoutQuality(*saved["numbers"]),
                )
                for saved in snapshots
            ]
            for key, snapshots in state.items()
        }
