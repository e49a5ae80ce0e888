"""Input channels and slices of kernels in the tab: each weight is off by at most 1/254 of the largest."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_cnnviz.functional.tab.kernel_channels import (
    MAX_LAYER_BYTES,
    MAX_STEP_BYTES,
    channel_tab_data,
    select_channels,
)
from lightning_cnnviz.output.owned import owned_bytes


def restored(record):
    """The weights that a record says: (inputs kept, slices kept, kernels kept, height, width), float64."""
    limit = np.maximum(-record.arrays["low"], record.arrays["high"]).astype(np.float64)[..., None, None, None]
    levels = record.arrays["values"].astype(np.float64)
    return np.where(levels == -128, np.nan, levels / 127 * limit), limit


def expected(weight, record):
    """The same of the weight itself."""
    volumes = weight.double().numpy()
    volumes = volumes.reshape(*volumes.shape[:2], *[1] * (5 - volumes.ndim), *volumes.shape[2:])
    rows = [volumes.mean(1) if input == "mean" else volumes[:, input] for input in record.info["inputs"]]
    kept = [[row[: len(record.info["channels"]), place] for place in record.info["slices"]] for row in rows]
    return np.array(kept)


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        ((6, 3, 5, 5), (4, 1, 6)),
        ((4, 2, 7), (3, 1, 4)),
        ((4, 2, 3, 5, 5), (3, 3, 4)),
        ((4, 1, 3, 5, 5), (1, 3, 4)),
        ((64, 64, 3, 3), (65, 1, 64)),
        ((512, 512, 3, 3), (13, 1, 512)),
        ((700, 1024, 1, 1), (116, 1, 512)),
        ((8, 4096, 1, 1), (2560, 1, 8)),
        ((512, 64, 7, 7, 7), (1, 2, 512)),
        ((512, 16, 15, 15), (1, 1, 272)),
    ],
    ids=str,
)
def test_every_kept_weight_is_off_by_less_than_a_colour_shows(shape, kept):
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * torch.linspace(
        0.1, 5, shape[0]
    ).reshape(-1, *[1] * (len(shape) - 1))
    record = channel_tab_data(select_channels(weight), "conv")
    assert record.arrays["values"].shape[:3] == kept
    weights, limit = restored(record)
    exact = expected(weight, record)
    assert np.abs(weights - exact).max() <= (limit / 254 * (1 + 1e-5)).max()
    assert (np.abs(weights - exact) <= limit / 254 * (1 + 1e-4)).all()
    np.testing.assert_allclose(record.arrays["low"], exact.min((2, 3, 4)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(record.arrays["high"], exact.max((2, 3, 4)), rtol=1e-4, atol=1e-6)
    assert sum(map(len, record.packed())) <= 2**16
    assert record.info["shape"] == [*shape[:2], shape[2] if len(shape) == 5 else 1]


def test_channels_are_chosen_evenly_and_that_of_the_picture_is_kept():
    weight = torch.zeros(512, 512, 3, 3)
    kept = select_channels(weight).inputs[:-1]
    assert (kept[0], kept[-1]) == (0, 511)
    gaps = np.diff(kept)
    assert gaps.max() - gaps.min() <= 1
    shown = select_channels(weight, channel=100).inputs
    assert 100 in shown
    assert len(shown) == len(kept) + 1
    assert select_channels(weight, "mean").inputs == [*kept, "mean"]


def test_the_slice_of_the_picture_is_kept():
    selection = select_channels(torch.zeros(512, 1, 9, 5, 5))
    assert len(selection.slices) < 9
    assert 4 in selection.slices


def test_few_kernels_are_kept_with_all_their_channels():
    record = channel_tab_data(select_channels(torch.zeros(512, 64, 3, 3), max_kernels=20), "conv", groups=2)
    assert record.info["channels"] == list(range(20))
    assert record.info["inputs"] == [*range(64), "mean"]
    assert (record.info["shape"], record.info["groups"]) == ([512, 64, 1], 2)


@pytest.mark.parametrize(("layers", "kept"), [(1, (13, 512)), (12, (13, 512)), (24, (7, 512)), (200, (1, 435))])
def test_many_layers_share_what_a_step_may_take(layers, kept):
    selection = select_channels(torch.zeros(512, 512, 3, 3), layers=layers)
    assert selection.levels.shape[::2][:2] == kept
    assert layers * owned_bytes(selection) <= MAX_STEP_BYTES


@pytest.mark.parametrize("shape", [(6, 1, 5, 5), (6, 1, 9), (2, 3, 300, 300)])
def test_what_needs_no_choice_or_does_not_fit_has_no_record(shape):
    assert select_channels(torch.zeros(shape)) is None


def test_weights_that_are_not_finite_are_told_apart_and_spoil_no_other():
    weight = torch.ones(3, 2, 3, 3)
    weight[0, 0, 1, 1], weight[1, 1, 0, 2], weight[2, 0] = float("nan"), -float("inf"), 0.5
    record = channel_tab_data(select_channels(weight), "conv")
    weights, _ = restored(record)
    exact = expected(weight, record)
    np.testing.assert_array_equal(np.isnan(weights), ~np.isfinite(exact))
    np.testing.assert_allclose(weights[np.isfinite(exact)], exact[np.isfinite(exact)], atol=1 / 254)
    nothing = channel_tab_data(select_channels(torch.full((2, 2, 3), float("nan"))), "conv").arrays
    assert (nothing["values"] == -128).all()
    assert not nothing["low"].any()
    assert not nothing["high"].any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_any_dtype_and_constant_kernels(dtype):
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    weight[:, 1] = 0
    record = channel_tab_data(select_channels(weight), "conv")
    weights, limit = restored(record)
    assert (np.abs(weights - expected(weight, record)) <= limit / 254 * 1.001 + 1e-12).all()
    assert not weights[1].any()


class Largest(TorchDispatchMode):
    """Notes the largest memory that an operation returns, other than that of a tensor."""

    def __init__(self, known):
        super().__init__()
        self.known, self.bytes = known.untyped_storage().data_ptr(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for part in (result,) if isinstance(result, torch.Tensor) else ():
            if part.untyped_storage().data_ptr() != self.known:
                self.bytes = max(self.bytes, part.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_large_weight_is_never_copied_as_a_whole(form, dtype):
    weight = torch.zeros(512, 512, 3, 3, dtype=dtype).to(memory_format=form)
    with Largest(weight) as largest:
        selection = select_channels(weight)
    assert MAX_LAYER_BYTES * 4 > largest.bytes > 0  # as float32 what is kept as bytes
    assert owned_bytes(selection) <= MAX_LAYER_BYTES
