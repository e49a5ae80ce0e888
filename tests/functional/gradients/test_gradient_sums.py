"""Sums, extremes and norms of gradients against float64 by hand."""

import numpy as np
import pytest
import torch

from lightning_cnnviz.functional.gradients.gradient_sums import (
    count_non_zeros,
    gradient_sums,
    gradient_sums_of_steps,
    norms,
    pieces,
    stored,
)

nan, inf = np.nan, np.inf


def expected_sums(tensors):
    """Sum and maximum of |g|, L2 norm, and entries that are not finite, in float64 by hand."""
    arrays = [np.abs(tensor.to_dense().double().numpy()) for tensor in tensors]
    return [
        [array.sum() for array in arrays],
        [array.max() for array in arrays],
        [np.sqrt((array**2).sum()) for array in arrays],
        [(~np.isfinite(array)).sum() for array in arrays],
    ]


def assert_sums(tensors, tolerance=1e-5):
    sums = gradient_sums(stored(tensors))
    assert sums._fields == ("sum_abs", "max_abs", "norm", "non_finite")
    for name, got, expected in zip(sums._fields, sums, expected_sums(tensors), strict=True):
        assert got.shape == (len(tensors),)
        assert got.dtype in ([torch.int64 if name.startswith("non") else torch.float64])
        assert np.allclose(got.double().numpy(), expected, rtol=tolerance, atol=0, equal_nan=True), name
    if any(tensor.is_sparse for tensor in tensors):
        return
    steps = [torch.stack([tensor, -tensor, tensor]) for tensor in tensors]
    for name, several, one in zip(sums._fields, gradient_sums_of_steps(steps), sums, strict=True):
        assert several.shape == (3 * len(tensors),)
        assert several.dtype == one.dtype
        for step in several.view(-1, 3).T:
            assert np.allclose(step.double(), one.double(), rtol=tolerance, atol=0, equal_nan=True), name


def assert_non_zeros(tensors):
    expected = [np.count_nonzero(tensor.to_dense().double().numpy()) for tensor in tensors]
    assert count_non_zeros(stored(tensors)).tolist() == expected


def gradients(dtype, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    shapes = [(), (1,), (7,), (3, 4), (6, 1, 5, 5), (2, 3, 2, 2, 2), (300, 400)]
    return [(torch.randn(shape, generator=generator) * scale).to(dtype) for shape in shapes]


DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


def test_double_precision_is_kept():
    gradient = torch.full((1000,), 1 + 1e-12, dtype=torch.float64)
    assert gradient_sums([gradient]).max_abs.item() == 1 + 1e-12


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_agree_with_float64(dtype):
    assert_sums(gradients(dtype), tolerance=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_zeros_are_counted(dtype):
    tensors = gradients(dtype)
    for tensor in tensors[2:]:
        tensor.view(-1)[::3] = 0
    tensors.append(torch.zeros(4, 5, dtype=dtype))
    tensors.append(-torch.zeros(3, dtype=dtype))
    assert_sums(tensors)
    assert_non_zeros(tensors)


def test_dtypes_may_be_mixed():
    assert_sums([tensor for dtype in DTYPES for tensor in gradients(dtype)])


def test_views_are_read_in_any_memory_order():
    dense = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(0))
    assert_sums([dense.transpose(0, 2), dense[:, ::2], dense.expand(3, 4, 6, 5)])


def test_half_precision_does_not_overflow():
    tensors = [torch.full((1000,), 60000.0, dtype=torch.float16), torch.full((1000,), -60000.0, dtype=torch.float16)]
    assert expected_sums(tensors)[0] == [6e7, 6e7]
    assert_sums(tensors)


def test_half_precision_does_not_underflow():
    assert_sums([torch.full((1000,), 6e-8, dtype=torch.float16)], tolerance=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [[nan], [inf], [-inf], [nan, inf, -inf], [inf, inf]])
def test_non_finite_entries_are_counted_in_their_own_tensor(dtype, bad):
    tensors = gradients(dtype)
    broken = torch.tensor([1.0, 0.0, *bad, 2.0], dtype=dtype)
    tensors.insert(2, broken)
    sums = gradient_sums(tensors)
    assert sums.non_finite.tolist() == [0, 0, len(bad)] + [0] * 5
    assert count_non_zeros(tensors)[2] == len(broken) - 1
    copies = gradient_sums_of_steps([tensor[None].clone() for tensor in tensors])
    assert copies.non_finite.tolist() == [0, 0, len(bad)] + [0] * 5
    assert not sums.sum_abs[2].isfinite()
    others = [index for index in range(len(tensors)) if index != 2]
    assert np.allclose(sums.norm[others].double(), np.array(expected_sums(tensors)[2])[others], rtol=1e-5)


def test_sums_beyond_float32_are_no_broken_entries():
    sums = gradient_sums([torch.full((10,), 3e38)])
    assert sums.non_finite.tolist() == [0]
    assert sums.max_abs.tolist() == [pytest.approx(3e38)]


def test_sparse_gradients_count_what_they_do_not_store_as_zeros():
    table = torch.nn.Embedding(10, 4, sparse=True)
    torch.nn.init.normal_(table.weight, generator=torch.Generator().manual_seed(0))
    (table(torch.tensor([1, 7, 7, 3])) * torch.tensor([1.0, 0.0, 2.0, -3.0])).sum().backward()
    gradient = table.weight.grad
    assert gradient.is_sparse
    assert_sums([gradient, torch.ones(2)])
    assert_non_zeros([gradient])
    assert count_non_zeros(stored([gradient])).tolist() == [9]


def test_a_sparse_gradient_that_stores_nothing_is_all_zero():
    empty = torch.zeros(10, 4).to_sparse(1)
    sums = gradient_sums(stored([empty, torch.ones(2)]))
    assert [value.tolist() for value in sums] == [[0, 2], [0, 1], [0, pytest.approx(2**0.5)], [0, 0]]
    assert_non_zeros([empty, torch.ones(2)])


def test_gradients_are_left_as_they_are():
    gradient = torch.tensor([1.0, nan, 0.0, inf])
    before = gradient.clone()
    gradient_sums([gradient])
    assert torch.equal(gradient.view(torch.int32), before.view(torch.int32))


@pytest.mark.parametrize("dtype", DTYPES)
def test_norms_are_those_of_float64(dtype):
    tensors = gradients(dtype)
    found = norms(tensors)
    assert found.dtype == torch.float64
    assert np.allclose(found.double().numpy(), expected_sums(tensors)[2], rtol=1e-5)


def test_norms_of_mixed_precision_keep_the_highest():
    found = norms([torch.ones(4), torch.full((1,), 1 + 1e-12, dtype=torch.float64)])
    assert found.tolist() == [2.0, 1 + 1e-12]


def test_sums_over_more_than_2_to_the_24_entries_are_exact():
    entries = 2**24 + 2**22 + 3
    gradient = torch.full((1, entries), 1.1e-3)
    exact = float(gradient[0, 0].double())
    assert abs(torch.linalg.vector_norm(gradient, 1).item() / (exact * entries) - 1) > 1e-4, "PyTorch's own is not"
    sums = gradient_sums([gradient])
    assert sums.sum_abs.item() == pytest.approx(exact * entries, rel=1e-6)
    assert sums.norm.item() == pytest.approx(exact * entries**0.5, rel=1e-6)
    gradient[0, -1] = inf
    assert gradient_sums([gradient]).non_finite.item() == 1
    gradient[0, ::2] = 0
    assert count_non_zeros([gradient]).item() == entries // 2


@pytest.mark.parametrize("value", [1e19, 3e38, 1e-24, 1e-38])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_norms_neither_overflow_nor_vanish(value, dtype):
    assert_sums([torch.full((8000,), value, dtype=dtype), torch.ones(3, dtype=dtype)], tolerance=1e-6)


def test_steps_may_differ_in_number():
    sums = gradient_sums_of_steps([torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0], [-4.0], [nan]])])
    assert sums.max_abs.tolist() == pytest.approx([2, 3, 4, nan], nan_ok=True)
    assert sums.non_finite.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    "of", [lambda x: x, lambda x: x.to(memory_format=torch.channels_last), lambda x: x.permute(2, 0, 3, 1)]
)
def test_pieces_are_views_that_have_every_entry_once(of):
    tensor = of(torch.arange(120).view(2, 3, 4, 5))
    parts = list(pieces(tensor, 50))
    assert [len(part) for part in parts] == [50, 50, 20]
    assert torch.cat(parts).sort().values.tolist() == list(range(120))
    assert all(part.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr() for part in parts)
