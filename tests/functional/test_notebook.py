"""All pictures of a model in one call: the same as by hand, and the model stays as it was."""

import io
import random
import re
from base64 import b64decode

import numpy as np
import pytest
import torch
from helpers.stateful import traces
from PIL import Image
from torch import nn

from lightning_cnnviz import look
from lightning_cnnviz.functional import (
    architecture_diagram,
    arranged,
    conv_weight,
    feature_maps,
    kernel_grid,
    last_hidden_layer,
    mean_maps,
    network_graph,
    prediction_sheet,
    project,
    projection_chart,
    record,
)
from lightning_cnnviz.functional.notebook import MAX_LAYERS, Pictures

NAMES = ["cat", "dog", "owl"]


class Net(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(4, 6, 3)
        self.drop = nn.Dropout(0.5)
        self.fc1 = nn.Linear(6 * 36, 8)
        self.act = nn.Tanh()
        self.fc2 = nn.Linear(8, classes)

    def forward(self, x):
        x = self.drop(self.conv2(self.relu(self.norm(self.conv1(x)))))
        return self.fc2(self.act(self.fc1(x.flatten(1))))


@pytest.fixture(scope="module")
def shown():
    """A model in training mode, its images and labels, and what `look` gave."""
    torch.manual_seed(0)
    net, images, labels = Net(), torch.randn(24, 1, 8, 8), torch.arange(24) % 3
    net(images)
    before = traces(net)
    pictures = look(net, images, labels, class_names=NAMES)
    return net, images, labels, pictures, before, traces(net)


def test_pictures_have_the_tags_of_the_callbacks(shown):
    pictures = shown[3]
    assert list(pictures) == [
        "architecture/diagram",
        "class_report/samples",
        "kernels/conv1",
        "kernels/conv2",
        "feature_maps/conv1",
        "feature_maps/conv2",
        "feature_maps/overview",
        "projection/act/tsne",
    ]
    assert pictures.notes == []
    assert all(picture.dtype == np.uint8 and picture.ndim == 3 for picture in pictures.values())


def test_model_and_random_states_are_bit_for_bit_what_they_were(shown):
    *_, before, after = shown
    assert after == before


def test_each_picture_is_what_its_function_draws(shown):
    net, images, labels, pictures, *_ = shown
    net = net.eval()
    seen, few = record(net, images[:4], ["conv1", "conv2"]), images[:4]
    with torch.no_grad():
        scores = net(images[:20])
        everything = net(images)
    probabilities = scores.softmax(dim=1)
    predicted = scores.argmax(dim=1)
    captions = [[f"true: {NAMES[labels[i]]}", f"pred: {NAMES[predicted[i]]}"] for i in range(4)]
    hidden = last_hidden_layer(net, images[:2])
    layout = project(record(net, images, [hidden]).layers[hidden])
    assert len(everything) == len(layout.points)
    expected = {
        "architecture/diagram": architecture_diagram(arranged(network_graph(net, images[:1])), title="Net"),
        "class_report/samples": prediction_sheet(
            images[:20], labels[:20], predicted, probabilities.amax(dim=1), NAMES, title="predictions"
        ),
        **{f"kernels/{name}": kernel_grid(conv_weight(getattr(net, name)), title=name) for name in ("conv1", "conv2")},
        **{
            f"feature_maps/{name}": feature_maps(maps, few, captions, title=name) for name, maps in seen.layers.items()
        },
        "feature_maps/overview": mean_maps(seen.layers, few, captions, title="overview"),
        "projection/act/tsne": projection_chart(layout, labels, NAMES, method="tsne", title="act"),
    }
    net.train()
    assert expected.keys() == pictures.keys()
    for name, picture in expected.items():
        np.testing.assert_array_equal(pictures[name], picture, err_msg=name)


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, lambda v: torch.tensor(v).int()])
def test_labels_and_names_may_be_held_by_anything(kind, shown):
    net, images, labels, *_ = shown
    few = look(net, images[:4], kind(labels[:4].tolist()), class_names=dict(enumerate(NAMES)))
    expected = look(net, images[:4], labels[:4], class_names=NAMES)
    assert few.keys() == expected.keys()
    assert all(np.array_equal(few[name], expected[name]) for name in few)


def test_without_labels_there_are_predictions_only(shown):
    net, images, labels, *_ = shown
    without, unknown = look(net, images[:4]), look(net, images[:4], [-1] * 4)
    assert all(np.array_equal(without[name], unknown[name]) for name in without)
    known = look(net, images[:4], labels[:4])
    assert without.keys() == known.keys()
    assert not np.array_equal(without["class_report/samples"], known["class_report/samples"])
    assert not np.array_equal(without["feature_maps/conv1"], known["feature_maps/conv1"])


def test_of_fewer_than_five_images_there_is_no_layout_and_a_note_says_so(shown):
    net, images, *_ = shown
    pictures = look(net, images[:4])
    assert not [name for name in pictures if name.startswith("projection")]
    (note,) = pictures.notes
    assert "t-SNE" in note
    assert "at least 5 images, got 4" in note
    assert note in repr(pictures)
    assert any(name.startswith("projection") for name in look(net, images[:5]))


def deep(count=11):
    return nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1) for _ in range(count)], nn.Flatten(), nn.Linear(64, 3))


def test_of_a_deep_net_four_convolutions_evenly_spread_are_shown_and_a_note_says_so():
    net, images = deep(), torch.randn(2, 1, 8, 8)
    pictures = look(net, images)
    shown = [name.partition("/")[2] for name in pictures if name.startswith("kernels")]
    assert shown == ["0", "3", "7", "10"]
    assert [f"feature_maps/{name}" for name in [*shown, "overview"]] == [
        n for n in pictures if n.startswith("feature")
    ]
    assert any(f"{MAX_LAYERS} of 11 convolutions" in note for note in pictures.notes)
    chosen = look(net, images, layers=("2", "[5-8]"))
    assert [name.partition("/")[2] for name in chosen if name.startswith("kernels")] == ["2", "5", "6", "7", "8"]
    assert not any("convolutions are shown" in note for note in chosen.notes)


def test_a_model_without_convolutions_has_the_other_pictures():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3))
    assert list(look(net, torch.randn(6, 1, 8, 8))) == [
        "architecture/diagram",
        "class_report/samples",
        "projection/2/tsne",
    ]


class Segmentation(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.out(torch.relu(self.conv(x)))


def test_where_the_output_is_no_class_scores_there_are_no_predictions():
    pictures = look(Segmentation(), torch.randn(6, 1, 8, 8), [0, 1, 0, 1, 0, 1])
    assert "class_report/samples" not in pictures
    assert {"kernels/conv", "kernels/out", "feature_maps/overview"} < pictures.keys()
    assert any(name.startswith("projection/") for name in pictures)


def test_a_single_score_is_one_of_two_classes():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    assert "class_report/samples" in look(net, torch.randn(3, 1, 8, 8), [0, 1, 0])


def test_signals_and_volumes_are_shown_too():
    signals = nn.Sequential(nn.Conv1d(2, 3, 5), nn.Flatten(), nn.Linear(3 * 28, 2))
    assert "feature_maps/0" in look(signals, torch.randn(2, 2, 32))
    volumes = nn.Sequential(nn.Conv3d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 64, 2))
    assert "feature_maps/0" in look(volumes, torch.randn(2, 1, 6, 6, 6))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([0, 1],), {}, "one label for each of 3 images"),
        (([[0], [1], [2]],), {}, "one label for each of 3 images"),
        ((), {"layers": "conv9"}, "conv9.*matches no layer"),
        ((), {"layers": "fc1"}, "fc1.*no convolution"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        look(Net(), torch.randn(3, 1, 8, 8), *arguments, **options)


def test_a_model_of_two_inputs_is_refused_with_its_signature():
    class Two(nn.Module):
        def forward(self, image, mask):
            return image * mask

    with pytest.raises(ValueError, match="image, mask"):
        look(Two(), torch.randn(3, 1, 8, 8))


# ---- in a notebook


def decoded(html):
    return [
        np.asarray(Image.open(io.BytesIO(b64decode(data))).convert("RGB"))
        for data in re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    ]


def test_a_cell_shows_all_pictures_with_their_names_and_the_notes(shown):
    pictures = shown[3]
    html = pictures._repr_html_()
    found = decoded(html)
    assert len(found) == len(pictures)
    assert all(np.array_equal(one, other) for one, other in zip(found, pictures.values(), strict=True))
    assert re.findall(r"<b>([^<]+)</b>", html) == list(pictures)


def test_names_and_notes_are_text_and_no_html():
    pictures = Pictures({'a<b>"c"': np.zeros((4, 5, 3), dtype=np.uint8)}, ["1 < 2 & 3"])
    html = pictures._repr_html_()
    assert "<b>&quot;" not in html
    assert "a&lt;b&gt;&quot;c&quot;" in html
    assert "<p>1 &lt; 2 &amp; 3</p>" in html
    assert repr(pictures) == 'a<b>"c": 5 × 4 pixels\n1 < 2 & 3'


def test_pictures_are_saved_as_they_are(shown, tmp_path):
    pictures = shown[3]
    paths = pictures.save(tmp_path / "new" / "folder")
    assert len(paths) == len(set(paths)) == len(pictures)
    assert {path.parent for path in paths} == {tmp_path / "new" / "folder"}
    for path, picture in zip(paths, pictures.values(), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path).convert("RGB")), picture)


def test_pictures_of_tags_that_are_no_file_names_stay_in_the_folder(tmp_path):
    (path,) = Pictures({"../../out/ä": np.zeros((4, 5, 3), dtype=np.uint8)}).save(tmp_path)
    assert path.parent == tmp_path
    assert path.exists()


def test_it_is_a_mapping(shown):
    pictures = shown[3]
    assert len(pictures) == 8
    assert "kernels/conv1" in pictures
    assert dict(pictures).keys() == pictures.keys()
    with pytest.raises(KeyError):
        pictures["kernels/conv9"]


def test_random_states_stay_where_the_model_draws_from_all_of_them():
    class Noisy(Net):
        def forward(self, x):
            return super().forward(x) + random.random() + np.random.random() + torch.rand(1)

    net, images = Noisy(), torch.randn(5, 1, 8, 8)
    before = traces(net)
    look(net, images)
    assert traces(net) == before
