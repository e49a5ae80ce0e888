"""Maps, maps with the channels last, and patch tokens are found to be places, and are handed on unchanged."""

import pytest
import torch

from lightning_cnnviz.functional.saliency.places import Places, patch_grid


def seen(size, output):
    """The maps that an output goes through."""
    places, maps = Places("layer", size), []
    places.maps.register_forward_hook(lambda _, args, found: maps.append(found))
    torch.testing.assert_close(places(output), output)
    (found,) = maps
    return found


def test_maps_are_handed_on_as_they_are():
    for size, shape in (
        ((20,), (3, 5, 18)),
        ((8, 8), (3, 5, 4, 4)),
        ((8, 8), (3, 4, 4, 4)),
        ((6,) * 3, (3, 5, 2, 2, 2)),
    ):
        output = torch.rand(shape)
        assert torch.equal(seen(size, output), output)


@pytest.mark.parametrize(("size", "shape"), [((32, 32), (3, 4, 4, 96)), ((32, 64), (3, 2, 4, 4))], ids=str)
def test_channels_may_come_last(size, shape):
    output = torch.rand(shape)
    assert torch.equal(seen(size, output), output.movedim(-1, 1))


def test_maps_of_the_inputs_proportions_are_not_taken_for_others():
    output = torch.rand(3, 64, 20, 12)  # 96 channels would be as long as high
    assert torch.equal(seen((40, 24), output), output)


@pytest.mark.parametrize("before", [0, 1, 5])
def test_tokens_become_the_grid_of_their_patches(before):
    output = torch.arange(2.0 * (before + 8) * 6).reshape(2, before + 8, 6)
    maps = seen((16, 32), output)
    assert maps.shape == (2, 6, 2, 4)
    assert torch.equal(maps[1, :, 1, 2], output[1, before + 6])


def test_a_gradient_through_tokens_is_that_of_each():
    output = torch.rand(2, 9, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad((Places("layer", (16, 32))(output) ** 2).sum(), output)
    torch.testing.assert_close(gradient, 2 * output.detach())


@pytest.mark.parametrize(
    ("tokens", "size", "expected"),
    [
        (197, (224, 224), (1, (14, 14))),
        (196, (224, 224), (0, (14, 14))),
        (198, (224, 224), (2, (14, 14))),
        (261, (224, 224), (5, (16, 16))),
        (50, (224, 224), (1, (7, 7))),
        (65, (32, 32), (1, (8, 8))),
        (5, (8, 8), (1, (2, 2))),
        (1 + 27, (6, 6, 6), (1, (3, 3, 3))),
    ],
)
def test_grids_of_well_known_transformers(tokens, size, expected):
    assert patch_grid(tokens, size) == expected


def test_tokens_that_are_no_grid():
    with pytest.raises(ValueError, match=r"expected a grid of patches of an input of size \(8, 64\), got 23 tokens"):
        patch_grid(23, (8, 64))


@pytest.mark.parametrize(
    ("size", "shape"), [((8, 8), (3, 16)), ((), (3, 5, 6)), ((40,), (3, 5)), ((8, 8), (3,))], ids=str
)
def test_outputs_without_places(size, shape):
    with pytest.raises(ValueError, match="fc1 has no places to look at: expected maps"):
        Places("fc1", size)(torch.rand(shape))
