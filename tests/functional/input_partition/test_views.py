"""Colours of the views at known places, against the model's own forward pass."""

import copy

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import nn

from lightning_cnnviz.functional.drawing.figure import render_figure
from lightning_cnnviz.functional.input_partition import views as partition_views
from lightning_cnnviz.functional.input_partition.cells import partition
from lightning_cnnviz.functional.input_partition.panels import (
    ON_OFF,
    Points,
    probability_colours,
)
from lightning_cnnviz.functional.input_partition.plane_model import PlaneModel, activation_patterns, grid_points
from lightning_cnnviz.functional.input_partition.views import PartitionViews
from recipes.circles import Circles

BOUNDS = (-2.0, 2.0, -2.0, 2.0)


@pytest.fixture
def figures(monkeypatch):
    """Figures as they are about to become pixels."""
    seen = []
    monkeypatch.setattr(partition_views, "finished", lambda figure, as_figure: seen.append(figure))
    return seen


def views_of(model, test=True, **options):
    plane = PlaneModel(model)
    generator = np.random.default_rng(0)
    data = Points(generator.uniform(-1.5, 1.5, (300, 2)), generator.integers(0, 2, 300))
    names = ["outer", "inner"]
    return PartitionViews(plane, partition(plane, BOUNDS), data, data if test else None, names, **options)


@pytest.fixture
def circles():
    torch.manual_seed(1)
    return Circles().eval()


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


def painted(axes):
    """Polygons of a panel and their colours."""
    (collection,) = [part for part in axes.collections if type(part).__name__ == "PolyCollection"]
    return [path.vertices[:-1] for path in collection.get_paths()], collection.get_facecolor()[:, :3]


def test_every_layer_has_its_views(circles):
    assert list(views_of(circles).all()) == [
        "input/data", "output/decision",
        "fc1/nodes", "fc1/layer", "fc1/cells",
        "conv/nodes", "conv/layer", "conv/cells",
        "pool/winners", "pool/cells",
        "fc2/nodes", "fc2/layer", "fc2/cells",
    ]  # fmt: skip
    assert list(views_of(circles).all(["pool"])) == ["input/data", "output/decision", "pool/winners", "pool/cells"]
    assert "fc1/cells" in views_of(circles).all(["act1"])


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_all_views_are_pictures(activation):
    torch.manual_seed(1)
    for draw in views_of(Circles(activation), caption="epoch 3 · step 3").all().values():
        picture = draw()
        assert picture.dtype == np.uint8
        assert 300 < picture.shape[0] < 1500
        assert picture.std() > 5


def test_a_unit_is_on_in_the_plane_where_the_model_says_so(circles, figures):
    views_of(circles).all()["conv/nodes"]()
    panels_of_units = figures[0].axes
    for unit in range(4):
        polygons, colours = painted(panels_of_units[4 * unit + 3])
        middles = torch.from_numpy(np.array([polygon.mean(axis=0) for polygon in polygons])).float()
        response = circles.conv(circles.act1(circles.fc1(middles))[:, None]).flatten(1)[:, unit]
        np.testing.assert_allclose(colours, ON_OFF[(response > 0).int().numpy()])


def test_the_response_over_a_layers_space_is_its_linear_map(circles, figures):
    views_of(circles).all()["fc1/nodes"]()
    response, activation, switch, _ = figures[0].axes[:4]
    (image,) = response.images
    x_low, x_high, y_low, y_high = image.get_extent()
    points = grid_points((x_low, x_high, y_low, y_high), 160)
    values = circles.fc1(torch.from_numpy(points).float())[:, 0].detach().numpy().reshape(160, 160)
    for panel, expected in ((response, values), (activation, np.maximum(values, 0))):
        colours = colormaps["RdBu_r"](0.5 + 0.5 * expected / np.abs(values).max())[..., :3]
        np.testing.assert_allclose(panel.images[0].get_array(), colours, atol=0.02)
    on = ON_OFF[(values > 0).astype(int)]
    assert (np.abs(switch.images[0].get_array() - on).max(axis=2) < 1e-6).mean() > 0.999
    line = response.lines[0].get_xydata()
    np.testing.assert_allclose(circles.fc1(torch.from_numpy(line).float())[:, 0].detach(), 0, atol=1e-4)


def test_spaces_are_drawn_in_their_own_dimensions(circles, figures):
    views = views_of(circles).all()
    for view in ("fc1/nodes", "conv/nodes", "fc2/nodes", "conv/layer"):
        views[view]()
    kinds = [[axes.name == "3d" for axes in figure.axes] for figure in figures]
    assert kinds[0] == [False] * 12
    assert kinds[1] == [True, True, True, False] * 4
    assert kinds[2] == [False] * 4
    assert kinds[3] == [True, False, False, False]
    assert figures[3].axes[1].get_xlabel() == "dimensions 1 and 2 of 4"


def test_one_dimension_is_a_line_with_its_switching_point(figures):
    model = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 2), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0]]))
        model[2].weight.copy_(torch.tensor([[2.0], [-1.0]]))
        model[2].bias.copy_(torch.tensor([-1.0, 0.3]))
    views_of(model).all()["2/nodes"]()
    places = [figures[0].axes[4 * unit].lines[0].get_xdata()[0] for unit in range(2)]
    assert places == pytest.approx([0.5, 0.3], abs=1e-5)


def test_active_nodes_are_counted(circles, figures):
    views_of(circles).all()["conv/layer"]()
    (points,) = figures[0].axes[2].collections
    grid = torch.from_numpy(grid_points(BOUNDS, 50)).float()
    maps = circles.conv(circles.act1(circles.fc1(grid))[:, None]).flatten(1).detach()
    np.testing.assert_allclose(points.get_offsets(), maps.relu()[:, :2], atol=1e-6)
    active = (maps > 0).sum(dim=1).numpy()
    np.testing.assert_allclose(points.get_facecolor()[:, :3], colormaps["viridis"](active / 4)[:, :3])


def test_the_winner_of_the_pool_is_the_larger_window(circles, figures):
    views_of(circles).winners(2)
    for kernel, axes in enumerate(figures[0].axes):
        polygons, colours = painted(axes)
        middles = torch.from_numpy(np.array([polygon.mean(axis=0) for polygon in polygons])).float()
        maps = circles.act2(circles.conv(circles.act1(circles.fc1(middles))[:, None]))[:, kernel].detach()
        shades = np.vstack([colormaps["viridis"]([0.0, 1.0])[:, :3], [1, 1, 1]])
        lead = (maps[:, 0] - maps[:, 1]).numpy()
        expected = shades[np.where(lead > 0, 0, np.where(lead < 0, 1, 2))]
        np.testing.assert_allclose(colours, expected)


def test_cells_keep_their_colours_while_their_pattern_lasts(circles, figures):
    models = [circles, copy.deepcopy(circles)]
    with torch.no_grad():
        for parameter in models[1].parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    for model in models:
        views_of(model).cells(1)
    colours_of = []
    for figure, model in zip(figures, models, strict=True):
        polygons, colours = painted(figure.axes[0])
        middles = np.array([polygon.mean(axis=0) for polygon in polygons])
        patterns = np.concatenate(activation_patterns(PlaneModel(model), middles)[:2], axis=1)
        colours_of.append({tuple(row): tuple(colour) for row, colour in zip(patterns, colours, strict=True)})
    before, after = colours_of
    both = before.keys() & after.keys()
    assert len(both) > 5
    assert all(before[pattern] == after[pattern] for pattern in both)


def test_scores_are_accuracies(circles, figures):
    views = views_of(circles)
    views.decision()
    predicted = circles(torch.from_numpy(views.train.places).float()).flatten() > 0.5
    accuracy = (predicted.numpy() == views.train.labels).mean()
    assert f"training accuracy {accuracy:.1%} · held out {accuracy:.1%}" in titles(figures[0])[0]


def test_class_scores_of_several_classes_are_drawn(figures):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 3))
    views_of(model).decision()
    (image,) = figures[0].axes[0].images
    points = torch.from_numpy(grid_points(BOUNDS, 200)).float()
    expected = probability_colours(model(points).softmax(dim=1).detach().double().numpy())
    np.testing.assert_allclose(image.get_array().reshape(-1, 3), expected, atol=1e-5)


def test_units_left_out_are_counted(figures):
    views_of(nn.Sequential(nn.Linear(2, 20), nn.ReLU()), max_units=3).all()["0/nodes"]()
    assert len(figures[0].axes) == 12
    assert "3 of 20 units" in figures[0].get_suptitle()


def test_pictures_say_where_cells_are_guessed(figures):
    views_of(Circles("tanh")).cells(1)
    assert "guessed on 400 × 400 points (smooth activation)" in figures[0].get_suptitle()
    assert titles(figures[0])[0].startswith("at least")


def test_without_held_out_data_there_is_one_panel(circles, figures):
    views_of(circles, test=False).data()
    assert titles(figures[0]) == ["training, 300 points"]


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.short, self.fc1, self.fc2, self.head = (
            nn.Linear(2, 3),
            nn.Linear(2, 4),
            nn.Linear(4, 3),
            nn.Linear(3, 1),
        )
        self.relu1, self.relu2, self.sigmoid = nn.ReLU(), nn.ReLU(), nn.Sigmoid()

    def forward(self, x):
        x = self.relu2(self.short(x) + self.fc2(self.relu1(self.fc1(x))))
        return self.sigmoid(self.head(x)).squeeze(1)


def test_behind_a_sum_there_are_cells_but_no_nodes_of_a_single_layer():
    torch.manual_seed(0)
    views = views_of(Residual()).all()
    assert [view for view in views if view.startswith("fc2")] == ["fc2/cells"]
    assert {"fc1/nodes", "head/nodes"} <= set(views)
    for draw in views.values():
        draw()


def test_layers_that_feed_no_activation_are_refused():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(
        ValueError, match=r"layers=\['2'\]: none of these is an activation or feeds one; available: 0, 1"
    ):
        views_of(model).all(["2"])


def test_windows_of_one_entry_are_won_by_it(figures):
    model = nn.Sequential(nn.Linear(2, 3), nn.Unflatten(1, (1, 3)), nn.MaxPool1d(2, ceil_mode=True), nn.Flatten())
    views_of(model).winners(0)
    _, alone = figures[0].axes
    assert (painted(alone)[1] == colormaps["viridis"](0.0)[:3]).all()


def test_picture_and_score_agree_on_what_logits_are(figures):
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.3, 0.0]]))
        model.bias.fill_(0.3)
    plane = PlaneModel(model)
    data = Points(np.random.default_rng(0).uniform(-0.8, 0.8, (50, 2)), np.ones(50, dtype=int))
    PartitionViews(plane, partition(plane, (-3, 3, -3, 3)), data, None, ["a", "b"]).decision()
    assert "training accuracy 100.0%" in titles(figures[0])[0]


def test_figures_have_the_pixels_of_the_pictures(circles):
    pictures, figures = (views_of(circles, as_figures=wanted).all() for wanted in (False, True))
    assert pictures.keys() == figures.keys()
    for name in ("input/data", "output/decision", "fc1/cells"):
        figure = figures[name]()
        assert isinstance(figure, Figure)
        np.testing.assert_array_equal(render_figure(figure), pictures[name](), err_msg=name)
