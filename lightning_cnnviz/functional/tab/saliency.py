"""Saliency as data for the tab: maps of samples, each for a class."""

from collections.abc import Sequence
from typing import Any

from lightning_cnnviz.functional.drawing.image import ArrayLike, finite_limit, to_array
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.functional.tab.gradient_maps import signed_bytes
from lightning_cnnviz.functional.tab.stored_maps import stored_maps


def saliency_tab_data(
    maps: ArrayLike,
    method: str,
    layer: str | None,
    *,
    samples: Sequence[int],
    classes: Sequence[int],
    signed: bool,
    count: int,
    predicted: Sequence[int] | None = None,
) -> TabData:
    """Returns maps with the sample and the class of each.

    Each map is scaled to its largest magnitude, symmetrically around zero, which stays exactly zero. The samples
    are the first ones of `sample_tab_data`, unless the record gets its own by `with_samples`.

    Args:
        maps: Shape (maps, *size), as for `saliency_sheet`.
        method: Name of the method.
        layer: Name of the layer, for Grad-CAM.
        samples: For each map the index of its sample.
        classes: For each map the index of the class that it explains.
        signed: Whether the maps have both signs.
        count: Number of samples.
        predicted: The predicted class index of each sample, if that is known.

    Example:
        >>> import numpy as np
        >>> which = {"samples": [0, 1, 1], "classes": [4, 2, 7], "signed": False, "count": 2}
        >>> record = saliency_tab_data(np.random.rand(3, 7, 7), "grad_cam", "conv2", **which)
        >>> record.tag, record.arrays["values"].shape
        ('cnnviz/saliency/grad_cam/conv2', (3, 7, 7))
    """
    stored = stored_maps(to_array(maps)[None], len(maps))[0]
    largest = finite_limit(stored, axis=(1, 2)).ravel()
    info: dict[str, Any] = {
        "samples": list(range(count)),
        "rows": list(samples),
        "classes": list(classes),
        "signed": signed,
    }
    info |= {} if predicted is None else {"predicted": list(predicted)}
    names = {"method": method} if layer is None else {"method": method, "layer": layer}
    return TabData("saliency", names, info, {"values": signed_bytes(stored, largest), "largest": largest})
