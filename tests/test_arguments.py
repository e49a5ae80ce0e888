"""Any sequence is taken for a list, a NumPy scalar for a number; and first errors say what helps."""

import numpy as np
import pytest
import torch
from helpers.tiny import TinyNet, fit, image_steps
from torch import nn

import lightning_cnnviz
from lightning_cnnviz import (
    ActivationMaximization,
    ActivationStats,
    Architecture,
    ClassReport,
    EmbeddingProjection,
    FeatureMaps,
    FilterResponse,
    GradientFlow,
    InputPartition,
    KernelGrid,
    LossAccuracy,
    MaximallyActivatingPatches,
    Probe,
    Saliency,
    SampleHistory,
    cnnviz_callbacks,
)
from lightning_cnnviz.callbacks.base import VisualCallback
from lightning_cnnviz.functional import (
    Layout,
    feature_maps,
    kernel_grid,
    knn_accuracy,
    measure,
    projection_animation,
    projection_chart,
    projection_overview,
    record,
    silhouette,
)

VISUALS = [
    kind
    for kind in (getattr(lightning_cnnviz, name) for name in lightning_cnnviz.__all__)
    if isinstance(kind, type) and issubclass(kind, VisualCallback)
]
every_visual = pytest.mark.parametrize("kind", VISUALS, ids=lambda kind: kind.__name__)
NAMES = ["cat", "dog"]
PAIR = ("conv1", "fc1")

# ---- sequences and numbers


@every_visual
@pytest.mark.parametrize("integer", [np.int64, np.int32, np.uint8, torch.tensor], ids=lambda kind: kind.__name__)
def test_intervals_may_be_numpys(kind, integer):
    epochs, steps = kind(every_n_epochs=integer(2)), kind(every_n_train_steps=integer(50))
    assert (epochs.schedule.every_n_epochs, type(epochs.schedule.every_n_epochs)) == (2, int)
    assert (steps.schedule.every_n_train_steps, type(steps.schedule.every_n_train_steps)) == (50, int)
    assert epochs.schedule.in_words() == "every 2 epochs"


@every_visual
@pytest.mark.parametrize(
    "layers",
    [PAIR, np.array(PAIR), np.array(PAIR, dtype=object), dict.fromkeys(PAIR).keys()],
    ids=["tuple", "array", "objects", "keys"],
)
def test_layers_may_be_in_any_sequence(kind, layers):
    made = kind(layers=layers)
    assert made.layers == ["conv1", "fc1"]
    assert {type(name) for name in made.layers} == {str}


@every_visual
def test_a_single_layer_may_be_a_name_of_numpys(kind):
    assert kind(layers=np.str_("conv*")).layers == "conv*"


NUMBERS = [
    (ActivationStats, "max_layers", lambda one: one.max_layers),
    (ActivationStats, "num_samples", lambda one: one.num_samples),
    (ActivationMaximization, "max_units", lambda one: one.max_units),
    (ActivationMaximization, "steps", lambda one: one.ascent.steps),
    (ClassReport, "max_mistakes", lambda one: one.max_mistakes),
    (SampleHistory, "max_shown", lambda one: one.max_shown),
    (EmbeddingProjection, "num_samples", lambda one: one.num_samples),
    (EmbeddingProjection, "history", lambda one: one.history),
    (FeatureMaps, "num_images", lambda one: one.num_images),
    (FeatureMaps, "max_channels", lambda one: one.max_channels),
    (FilterResponse, "channel", lambda one: one.channel),
    (FilterResponse, "max_kernels", lambda one: one.max_kernels),
    (GradientFlow, "watch_every_n_steps", lambda one: one.watch_every_n_steps),
    (InputPartition, "max_cells", lambda one: one.max_cells),
    (InputPartition, "max_units", lambda one: one.max_units),
    (InputPartition, "history", lambda one: one.history),
    (KernelGrid, "channel", lambda one: one.channel),
    (KernelGrid, "max_kernels", lambda one: one.max_kernels),
    (MaximallyActivatingPatches, "max_layers", lambda one: one.max_layers),
    (MaximallyActivatingPatches, "max_channels", lambda one: one.max_channels),
    (MaximallyActivatingPatches, "num_patches", lambda one: one.num_patches),
    (Probe, "num_samples", lambda one: one.num_samples),
    (Saliency, "num_images", lambda one: one.num_images),
]


@pytest.mark.parametrize(
    ("kind", "argument", "read"), NUMBERS, ids=[f"{kind.__name__}-{name}" for kind, name, _ in NUMBERS]
)
@pytest.mark.parametrize("integer", [np.int64, np.int32, np.uint8], ids=lambda kind: kind.__name__)
def test_whole_numbers_may_be_numpys(kind, argument, read, integer):
    found = read(kind(**{argument: integer(7)}))
    assert found == 7
    assert isinstance(found, int)


@pytest.mark.parametrize(
    ("kind", "argument", "read"), NUMBERS, ids=[f"{kind.__name__}-{name}" for kind, name, _ in NUMBERS]
)
def test_numbers_that_are_not_whole_are_refused(kind, argument, read):
    with pytest.raises((TypeError, ValueError), match=argument):
        kind(**{argument: 7.5})


@pytest.mark.parametrize(
    "method", [("pca", "tsne"), ["pca", "tsne"], np.array(["pca", "tsne"])], ids=lambda m: type(m).__name__
)
def test_methods_may_be_in_any_sequence(method):
    assert EmbeddingProjection(method=method).methods == ["pca", "tsne"]


@pytest.mark.parametrize(
    "indices",
    [[3, 1], (3, 1), np.array([3, 1]), torch.tensor([3, 1]), range(3, 0, -2)],
    ids=lambda i: type(i).__name__,
)
def test_indices_may_be_in_any_sequence(indices):
    probe = Probe(indices=indices)
    assert probe.indices == [3, 1]
    assert {type(index) for index in probe.indices} == {int}


@pytest.mark.parametrize(
    "bounds", [[-1, 1, -2, 2], (-1, 1, -2, 2), np.array([-1, 1, -2, 2])], ids=lambda b: type(b).__name__
)
def test_bounds_may_be_in_any_sequence(bounds):
    assert InputPartition(bounds=bounds).bounds == [-1.0, 1.0, -2.0, 2.0]


HELD = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "by number": lambda names: dict(enumerate(names)),
    "by name": lambda names: {name: number for number, name in enumerate(names)},
}


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("kind", [ClassReport, Probe])
def test_class_names_may_be_held_by_anything(kind, held):
    assert kind(class_names=HELD[held](NAMES)).class_names == NAMES


@pytest.mark.parametrize("held", HELD)
def test_class_names_of_a_preset_too(held):
    callbacks = cnnviz_callbacks(class_names=HELD[held](NAMES), num_samples=np.int32(50), every_n_epochs=np.int64(2))
    (report,) = (callback for callback in callbacks if isinstance(callback, ClassReport))
    assert report.class_names == NAMES
    probes = {callback.probe for callback in callbacks if hasattr(callback, "probe")}
    assert [(probe.class_names, probe.num_samples) for probe in probes] == [(NAMES, 50)]


def test_all_of_it_goes_through_a_run(tmp_path):
    probe = Probe(np.int32(20), class_names=np.array(["a", "b", "c", "d"]), seed=np.int64(1))
    options = {"every_n_epochs": np.int64(1), "on_error": "raise"}
    visuals = [
        KernelGrid(layers=np.array(["conv1"]), channel=np.int64(0), max_kernels=np.int16(3), **options),
        FeatureMaps(layers=("conv2",), num_images=np.int8(2), probe=probe, **options),
        EmbeddingProjection(
            layers=np.array(["act"]), method=("pca",), num_samples=np.int64(20), probe=probe, **options
        ),
        GradientFlow(layers=("conv*", "fc1"), watch_every_n_steps=np.int64(2), **options),
        FilterResponse(layers=("conv1",), channel=np.uint8(0), **options),
        ActivationMaximization(steps=np.int64(3), max_units=np.int64(2), **options),
        Architecture(layers=("conv1", "fc1"), on_error="raise"),
        LossAccuracy(**options),
    ]
    fit(tmp_path, visuals, max_epochs=1)
    found = {tag.split("/")[0] for tag in image_steps(tmp_path)}
    assert found >= {
        "kernels",
        "feature_maps",
        "projection",
        "gradient_flow",
        "filter_response",
        "architecture",
        "curves",
    }
    assert "feature_maps/conv2" in image_steps(tmp_path)


LABELS = [0, 0, 1, 1, 0, 0, 1, 1, 0, 1]
KINDS = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "int32": lambda labels: np.array(labels, dtype=np.int32),
    "tensor": torch.tensor,
    "uint8 tensor": lambda labels: torch.tensor(labels, dtype=torch.uint8),
}
LAYOUTS = [Layout(np.random.default_rng(seed).normal(size=(10, 2)).astype(np.float32), None) for seed in range(2)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "use",
    [
        lambda labels: projection_chart(LAYOUTS[0], labels, NAMES, method="pca"),
        lambda labels: projection_overview({("fc", "pca"): LAYOUTS[0]}, labels, tuple(NAMES)),
        lambda labels: (
            projection_animation(LAYOUTS, labels, dict(enumerate(NAMES)), method="pca", titles=["1", "2"]).frames
        ),
        lambda labels: measure(LAYOUTS[0], labels),
        lambda labels: knn_accuracy(LAYOUTS[0].points, labels),
        lambda labels: silhouette(LAYOUTS[0].points, labels),
    ],
    ids=["chart", "overview", "animation", "measure", "knn_accuracy", "silhouette"],
)
def test_labels_may_be_held_by_anything(use, kind):
    np.testing.assert_array_equal(use(KINDS[kind](LABELS)), use(np.array(LABELS)))


# ---- first errors


def test_a_caption_in_place_of_its_lines_is_refused_with_what_to_write():
    maps, images = np.ones((1, 2, 4, 4)), np.ones((1, 1, 8, 8))
    with pytest.raises(TypeError, match=r"true: Bag"):
        feature_maps(maps, images, captions=["true: Bag"])
    assert feature_maps(maps, images, captions=[["true: Bag"]]).ndim == 3


@pytest.mark.parametrize("layers", ["conv", ["conv"], ("conv1", "conv"), np.array(["conv"])], ids=str)
def test_an_unknown_layer_is_refused_with_those_there_are(layers):
    with pytest.raises(ValueError, match=r"'conv'.*conv1, norm, relu, conv2, pool, fc1, act, drop, fc2"):
        record(TinyNet(), torch.rand(2, 1, 8, 8), layers)


@pytest.mark.parametrize("given", [nn.Conv2d(1, 4, 3), nn.Sequential(nn.Conv2d(1, 4, 3))[0], [[[[1.0]]]], None])
def test_a_layer_in_place_of_its_weight_is_refused_with_what_to_write(given):
    with pytest.raises(TypeError, match=r"conv_weight\(layer\)"):
        kernel_grid(given)


@every_visual
def test_arguments_that_are_unknown_are_refused_by_name(kind):
    with pytest.raises(TypeError, match="colour"):
        kind(colour="red")
