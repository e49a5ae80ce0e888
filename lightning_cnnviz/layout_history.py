"""Layouts of a run in the order of time: from the last one the next goes on, all of them make a film."""

from typing import Any, NamedTuple

import torch

from lightning_cnnviz.functional.image import Array
from lightning_cnnviz.functional.projection import Layout, Method
from lightning_cnnviz.functional.projection_numbers import Numbers


class Frame(NamedTuple):
    """A layout and what is said of it.

    Attributes:
        step: Optimizer step.
        title: Layer, epoch and step in words.
        layout: From `project`.
        numbers: From `measure`.
    """

    step: int
    title: str
    layout: Layout
    numbers: Numbers


class LayoutHistory:
    """Frames of each layer and method.

    Args:
        most: Frames that are kept of each; of more, every second one, the first and the last two among them.

    Example:
        >>> import numpy as np
        >>> history = LayoutHistory(most=4)
        >>> for step in range(1, 6):
        ...     history.add("fc1", "tsne", Frame(step, "fc1", Layout(np.zeros((9, 2)), 3.0), Numbers()))
        >>> [frame.step for frame in history.frames["fc1", "tsne"]]
        [1, 3, 5]
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.frames: dict[tuple[str, Method], list[Frame]] = {}

    def last(self, layer: str, method: Method, samples: int) -> Array | None:
        """Points of the last layout, if it was one of so many samples."""
        frames = self.frames.get((layer, method))
        return frames[-1].layout.points if frames and len(frames[-1].layout.points) == samples else None

    def add(self, layer: str, method: Method, frame: Frame) -> None:
        """Adds the newest frame; those of another number of samples go."""
        frames = [*self.frames.get((layer, method), ()), frame]
        frames = [one for one in frames if len(one.layout.points) == len(frame.layout.points)]
        while len(frames) > self.most > 1:
            frames = [*frames[:-1:2], frame]
        self.frames[layer, method] = frames[-max(self.most, 1) :]

    def forget_after(self, step: int) -> None:
        """Leaves behind what came later than a step; at step 0 everything, as a run begins anew."""
        kept = {key: [frame for frame in frames if frame.step <= step] for key, frames in self.frames.items()}
        self.frames = {key: frames for key, frames in kept.items() if frames and step}

    def state_dict(self) -> dict[tuple[str, Method], list[dict[str, Any]]]:
        """The frames in plain types and half precision, as a checkpoint takes them."""
        return {
            key: [
                {
                    "step": frame.step,
                    "title": frame.title,
                    "points": torch.from_numpy(frame.layout.points).half(),
                    "measured": [*frame.layout[1:]],
                    "numbers": [float(number) for number in frame.numbers],
                }
                for frame in list(frames)
            ]
            for key, frames in list(self.frames.items())
        }

    def load_state_dict(self, state: dict[tuple[str, Method], list[dict[str, Any]]]) -> None:
        """Takes over what `state_dict` gave."""
        self.frames = {
            key: [
                Frame(
                    saved["step"],
                    saved["title"],
                    Layout(saved["points"].float().numpy(), *saved["measured"]),
                    Numbers(*saved["numbers"]),
                )
                for saved in frames
            ]
            for key, frames in state.items()
        }
