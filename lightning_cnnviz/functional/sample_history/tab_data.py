"""The last pass over a dataset for the tab, in which each sample can be followed by its number."""

from collections.abc import Sequence

import numpy as np

from lightning_cnnviz.functional.sample_history.dynamics import Integers, SampleDynamics, SamplePass
from lightning_cnnviz.functional.tab.data import TabData

MAX_SAMPLES = 100_000
"""Samples of a split of which the tab has the passes; of a larger one it has none."""


def history_tab_data(
    split: str, last: SamplePass, dynamics: SampleDynamics, class_names: Sequence[str], listed: Integers
) -> TabData:
    """Returns the margin and the predicted class of each sample in the last pass, and its given class.

    Args:
        split: `"train"` or `"val"`.
        last: The last pass.
        dynamics: What all passes have told.
        class_names: A name for each class index.
        listed: Numbers of the samples to list first, those whose label is probably wrong.

    Returns:
        Arrays of shape (samples,): `values` with the margins, NaN if not seen in this pass, `predicted` and `targets`,
        -1 likewise.

    Example:
        >>> from lightning_cnnviz.functional.sample_history.dynamics import sample_dynamics
        >>> one = SamplePass(*(np.array([part]) for part in (1, -1.5, 0.25, 1, 0)))
        >>> found = sample_dynamics(np.array([[-1.5]]), np.array([[0.25]]), np.array([[1]]), np.array([0]))
        >>> history_tab_data("train", one, found, ["cat", "dog"], np.array([0])).info["listed"]
        [{'sample': 0, 'margin': -1.5, 'first_learned': 0, 'forgotten': 0}]
    """
    kind = np.int16 if len(class_names) < 2**15 else np.int32
    rows = [(int(number), dynamics.take(int(number))) for number in listed]
    info = {
        "classes": list(class_names),
        "samples": len(last.seen),
        "listed": [
            {
                "sample": number,
                "margin": round(float(one.area_under_margin), 3),
                "first_learned": int(one.first_learned),
                "forgotten": int(one.forgotten),
            }
            for number, one in rows
        ],
    }
    arrays = {
        "values": np.where(last.seen > 0, np.clip(last.margin, -6e4, 6e4), np.nan).astype(np.float16),
        "predicted": last.predicted.astype(kind),
        "targets": last.targets.astype(kind),
    }
    return TabData("sample_history", {"split": split}, info, arrays)
