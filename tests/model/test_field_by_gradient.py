"""Fields of which no geometry is known: found by gradients, and never too small."""

import pytest
import torch
from torch import nn

from lightning_cnnviz.model.field_by_gradient import MAX_PLACES, axes_by_gradient
from lightning_cnnviz.model.receptive_field import receptive_fields


class Unusual(nn.Module):
    """With an operation whose geometry is not known."""

    def __init__(self):
        super().__init__()
        self.before, self.after = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        x = self.before(x)
        return self.after(torch.fft.ifft2(torch.fft.fft2(x)).real * 0 + x.roll((2, 0), (2, 3)).flip(3))


def test_what_no_rule_knows_is_computed_by_gradients():
    torch.manual_seed(0)
    model = Unusual()
    fields = receptive_fields(model, torch.rand(1, 1, 9, 8), ["before", "after"])
    assert [field.source for field in fields.values()] == ["geometry", "gradient"]
    # Over the whole map through the Fourier transform, whose product with zero has a gradient of zero.
    columns = fields["after"].columns
    assert columns.low.tolist() == [4, 3, 2, 1, 0, 0]
    assert columns.high.tolist() == [7, 7, 6, 5, 4, 3]


class Gated(nn.Module):
    """A unit is let through by what is far from it, which no gradient and no rule tells."""

    def __init__(self, gate):
        super().__init__()
        self.conv, self.far, self.gate = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 9, padding=4), gate

    def forward(self, x):
        return self.gate(self.conv(x), self.far(x))


GATES = {
    "where, known": (lambda x, far: torch.where(far > 0, x, 0 * x), "geometry", (9, 9)),
    "a mask, known": (lambda x, far: x * (far > 0), "geometry", (9, 9)),
    "shifted": (lambda x, far: torch.where(far.roll(1, 3) > 0, x, 0 * x), "unknown", (16, 16)),
    "the largest of a row": (lambda x, far: x * (far == far.amax(3, keepdim=True)), "unknown", (16, 16)),
    "written": (lambda x, far: x.masked_fill_(far.cumsum(3) > 0, 0.0), "unknown", (16, 16)),
}


@pytest.mark.parametrize("gate", GATES)
def test_a_hard_choice_does_not_make_a_field_too_small(gate):
    torch.manual_seed(0)
    choose, source, size = GATES[gate]
    net = nn.Sequential(Gated(choose), nn.Conv2d(2, 1, 1))
    field = receptive_fields(net, torch.randn(1, 1, 16, 16), ["1"])["1"]
    assert (field.source, field.patch_size) == (source, size)


def test_it_is_the_geometry_where_both_are_known():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1, stride=2), nn.Tanh(), nn.Conv2d(3, 2, 3, padding=1, dilation=2))
    x = torch.rand(1, 1, 15, 12)
    exact = receptive_fields(net, x, ["2"])["2"]
    rows, columns = axes_by_gradient(net, x, "2", net(x).shape)
    for one, other in ((rows, exact.rows), (columns, exact.columns)):
        assert (one.low.tolist(), one.high.tolist()) == (other.low.tolist(), other.high.tolist())
    assert exact.source == "geometry"


def test_whole_numbers_and_large_maps_are_left_alone():
    net = nn.Sequential(nn.Conv2d(1, 1, 1))
    assert axes_by_gradient(net, torch.zeros(1, 1, 4, 4, dtype=torch.uint8), "0", (1, 1, 4, 4)) is None
    assert axes_by_gradient(net, torch.rand(1, 1, 4, MAX_PLACES), "0", (1, 1, 4, MAX_PLACES)) is None
