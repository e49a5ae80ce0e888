"""Networks with more convolutions than are drawn by default."""

from itertools import pairwise

import pytest
from helpers.tiny import TinyNet, events, fit, image_steps
from torch import nn

from lightning_cnnviz import FeatureMaps, FilterResponse, KernelGrid, cnnviz_callbacks


class Deep(TinyNet):
    def __init__(self, depth=60):
        super().__init__()
        self.deep = nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=1) for _ in range(depth - 2)))

    def forward(self, x):
        x = self.deep(self.relu(self.norm(self.conv1(x))))
        return self.fc2(self.act(self.fc1(self.pool(self.conv2(x)).flatten(1))))


def layers_drawn(folder, prefix):
    return [
        tag.removeprefix(prefix) for tag in image_steps(folder) if tag.startswith(prefix) and "overview" not in tag
    ]


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [(KernelGrid, "kernels/"), (FeatureMaps, "feature_maps/"), (FilterResponse, "filter_response/")],
)
def test_of_60_convolutions_24_are_drawn_evenly_over_depth_and_it_is_said_once(kind, prefix, tmp_path, told):
    fit(tmp_path, [kind(on_error="raise")], model=Deep)
    drawn = layers_drawn(tmp_path, prefix)
    order = [name for name, part in Deep().named_modules() if isinstance(part, nn.Conv2d)]
    places = sorted(map(order.index, drawn))
    assert len(places) == 24
    assert (places[0], places[-1]) == (0, 59)
    assert {later - earlier for earlier, later in pairwise(places)} == {2, 3}
    tags = events(tmp_path).Tags()["tensors"]
    tab = {tag.removeprefix(f"cnnviz/{prefix}") for tag in tags if tag.startswith(f"cnnviz/{prefix}")}
    assert tab.intersection(order) == set(drawn)
    assert told().count(f"{kind.__name__}: 24 of 60 convolutions are drawn") == 1


@pytest.mark.parametrize("options", [{"layers": "*"}, {"max_layers": 60}], ids=str)
def test_all_are_drawn_on_request(options, tmp_path, told):
    fit(tmp_path, [KernelGrid(**options, on_error="raise")], model=Deep, max_epochs=1)
    assert len(layers_drawn(tmp_path, "kernels/")) == 60
    assert "evenly over depth" not in told()


def test_a_set_of_callbacks_takes_the_number_for_all():
    numbers = [getattr(callback, "max_layers", None) for callback in cnnviz_callbacks("full", max_layers=7)]
    assert numbers.count(7) == 5
    with pytest.raises(ValueError, match="max_layers"):
        KernelGrid(max_layers=0)
