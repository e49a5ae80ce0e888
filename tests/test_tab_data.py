"""Data of the tab in the event file of a real run."""

import json

import numpy as np
import torch
from helpers.plane import PlaneNet, plane_loaders
from helpers.tab_records import records
from helpers.tiny import TinyNet, fit
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_cnnviz import (
    Architecture,
    EmbeddingProjection,
    FeatureMaps,
    GradientFlow,
    InputPartition,
    KernelGrid,
    LossAccuracy,
    Probe,
    cnnviz_callbacks,
)


def test_every_record_names_plugin_kind_and_class_of_data(tmp_path):
    fit(tmp_path, cnnviz_callbacks("full", on_error="raise"), max_epochs=1)
    reader = EventAccumulator(str(tmp_path / "run")).Reload()
    kinds = set()
    for tag in (tag for tag in reader.Tags()["tensors"] if tag.startswith("cnnviz/")):
        metadata = reader.SummaryMetadata(tag)
        content = json.loads(metadata.plugin_data.content)
        assert (metadata.plugin_data.plugin_name, metadata.data_class, content["schema"]) == ("cnnviz", 3, 1)
        kinds.add(content["kind"])
    assert kinds == {
        "model", "samples", "curves", "gradients", "kernels", "kernel_channels", "weights", "normalization",
        "feature_maps", "gradient_maps", "filter_response", "projection", "activations", "patches",
        "saliency", "sample_history", "confusion",
    }  # fmt: skip


def test_after_a_fit_one_line_says_where_the_run_is_seen(tmp_path, told):
    fit(tmp_path, cnnviz_callbacks(on_error="raise"), max_epochs=1)
    lines = [line for line in told().splitlines() if "#cnnviz" in line]
    command = f"tensorboard --logdir {tmp_path / 'run'}"
    assert lines == [f"lightning_cnnviz: see this run at http://localhost:6006/#cnnviz after: {command}"]


def test_kernels_are_those_of_the_trained_model(tmp_path):
    model = fit(tmp_path, [KernelGrid(on_error="raise")]).lightning_module
    (*_, (step, header, arrays)) = records(tmp_path, "kernels/conv2")
    assert (step, header["layer"]) == (12, "conv2")
    np.testing.assert_allclose(arrays["values"], model.conv2.weight[:, 0].detach(), atol=1e-3)


def test_feature_maps_are_those_of_the_samples(tmp_path):
    callback = FeatureMaps(layers="conv1", on_error="raise")
    model = fit(tmp_path, [callback], max_epochs=1).lightning_module.eval()
    ((_, header, arrays),) = records(tmp_path, "feature_maps/conv1")
    with torch.no_grad():
        expected = model.conv1(callback.probe.samples.inputs[:4]).numpy()
    low, high = (arrays[name][..., None, None] for name in ("low", "high"))
    np.testing.assert_allclose(
        low + (high - low) * arrays["values"] / 255, expected, atol=float((high - low).max() / 400)
    )
    assert header["samples"] == [0, 1, 2, 3]


def test_linear_layers_have_their_weights_and_the_activations_of_the_samples(tmp_path):
    callback = FeatureMaps(on_error="raise")
    model = fit(tmp_path, [KernelGrid(on_error="raise"), callback]).lightning_module.eval()
    name = next(name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear))
    layer = model.get_submodule(name)
    (*_, (step, header, arrays)) = records(tmp_path, f"weights/{name}")
    assert (step, header["shape"], header["block"]) == (12, list(layer.weight.shape), [1, 1])
    np.testing.assert_allclose(arrays["values"], layer.weight.detach(), atol=1e-3)
    np.testing.assert_allclose(arrays["high"], layer.weight.detach().amax(1), rtol=1e-6)
    (*_, (step, header, arrays)) = records(tmp_path, f"feature_maps/{name}")
    kept = []
    layer.register_forward_hook(lambda _, inputs, output: kept.append(output))
    with torch.no_grad():
        scores = model(callback.probe.samples.inputs[:4])
    np.testing.assert_allclose(arrays["low"], kept[0], atol=1e-5)
    assert arrays["values"].shape == (*kept[0].shape, 1, 1)
    assert (step, header["predicted"]) == (12, scores.argmax(1).tolist())


def test_layouts_predictions_and_samples_belong_together(tmp_path):
    callback = EmbeddingProjection(layers="act", on_error="raise")
    model = fit(tmp_path, [callback]).lightning_module.eval()
    ((_, _, samples),) = records(tmp_path, "samples")
    layouts = records(tmp_path, "projection/act/tsne")
    assert [step for step, *_ in layouts] == [6, 12]
    _, header, arrays = layouts[-1]
    frame = callback._layouts.snapshots["act", "tsne"][-1]
    np.testing.assert_array_equal(arrays["points"], frame.layout.points)
    assert header["numbers"] == frame.quality.known()
    given = callback.probe.samples
    np.testing.assert_array_equal(samples["targets"], given.targets)
    with torch.no_grad():
        np.testing.assert_array_equal(arrays["predicted"], model(given.inputs).argmax(1))
    assert len(samples["thumbnails"]) == len(given.inputs) == len(arrays["points"])


def test_the_samples_are_those_of_the_projection_whoever_comes_first(tmp_path):
    first, other = FeatureMaps(layers="conv1"), FeatureMaps(layers="conv2", probe=Probe(3, seed=5))
    fit(tmp_path, [first, other, EmbeddingProjection(num_samples=20)], max_epochs=1)
    ((_, _, samples),) = records(tmp_path, "samples")
    assert len(samples["targets"]) == 20
    ((_, header, _),) = records(tmp_path, "feature_maps/conv1")
    assert header["samples"] == [0, 1, 2, 3]
    assert "class_names" not in header
    ((_, header, own),) = records(tmp_path, "feature_maps/conv2")
    assert header["samples"] == [0, 1, 2]
    assert header["class_names"]  # it brings its own
    np.testing.assert_array_equal(own["targets"], other.probe.samples.targets[:3])


def test_curves_come_bit_by_bit(tmp_path):
    callback = LossAccuracy(on_error="raise")
    fit(tmp_path, [callback], max_epochs=3)
    together = {kind: [] for kind in ("loss/train", "loss/val", "accuracy/train", "accuracy/val")}
    for _, header, _ in records(tmp_path, "curves"):
        for kind, points in header["points"].items():
            together[kind] += points
        computed = {
            f"{kind}/train": "train_loss" if kind == "loss" else "computed here" for kind in ("loss", "accuracy")
        }
        assert header["metrics"] == {**computed, "loss/val": "val_loss", "accuracy/val": "val_acc"}
        assert header["percent"] is False
    expected = {"/".join(kind): [list(point) for point in points] for kind, points in callback._points.items()}
    assert together == expected
    assert len(together["loss/train"]) == 3


def test_gradients_and_health_are_those_of_the_scalars(tmp_path):
    callback = GradientFlow(on_error="raise")
    fit(tmp_path, [callback], max_epochs=1)
    ((_, header, arrays),) = records(tmp_path, "gradients")
    rows = callback._latest
    for layer, values in zip(header["layers"], arrays["values"], strict=True):
        np.testing.assert_allclose(values, [rows[layer][name] for name in header["statistics"]], rtol=1e-6)
    assert header["health"] == ["ok"] * len(rows)


def test_the_plane_is_the_picture(tmp_path):
    fit(tmp_path, [InputPartition(every_n_epochs=1)], model=PlaneNet, data=plane_loaders(), max_epochs=1)
    reader = EventAccumulator(str(tmp_path / "run"), size_guidance={"images": 0}).Reload()
    tags = [tag for tag in reader.Tags()["images"] if tag.startswith("partition/")]
    assert len(tags) > 3
    for tag in tags:
        ((step, header, arrays),) = records(tmp_path, tag)
        (picture,) = reader.Images(tag)
        assert arrays["png"].tobytes() == picture.encoded_image_string
        assert (step, header["width"], header["height"]) == (picture.step, picture.width, picture.height)
        assert tag == f"partition/{header['layer']}/{header['view']}"


def test_the_model_is_described_layer_by_layer(tmp_path):
    fit(tmp_path, [Architecture(on_error="raise")], max_epochs=1)
    ((step, header, _),) = records(tmp_path, "model")
    net = TinyNet()
    assert (step, header["name"], header["input_shape"]) == (0, "TinyNet", [1, 8, 8])
    for row in header["layers"]:
        layer = net.get_submodule(row["name"])
        assert row["kind"] == type(layer).__name__
        assert row["parameters"] == sum(parameter.numel() for parameter in layer.parameters())
    assert {"conv1", "conv2", "fc1", "fc2"} <= {row["name"] for row in header["layers"]}
