"""The projection in the event file is the layout of that layer's activations."""

import json
import threading
from io import BytesIO
from itertools import pairwise, product

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import NumbersLogger, TinyData, TinyNet, events, fit, image_steps, loaders, scalars, trainer
from PIL import Image, ImageSequence
from pytorch_lightning.loggers import TensorBoardLogger
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from lightning_cnnviz import EmbeddingProjection, Probe
from lightning_cnnviz.callbacks import embedding_projection


def points(callback, layer, method):
    """The last layout."""
    return callback._layouts.snapshots[layer, method][-1].layout.points


def test_by_default_the_last_hidden_layer_is_shown(tmp_path):
    fit(tmp_path, [EmbeddingProjection()])
    # the activation in front of the dropout, which does nothing in evaluation
    assert image_steps(tmp_path) == {"projection/act/tsne": [6, 12], "projection/act/tsne/film": [12]}


def test_several_layers_and_what_a_layer_receives(tmp_path):
    fit(tmp_path, [EmbeddingProjection(layers=["conv*", "fc1.input"], method="pca", on_error="raise")], max_epochs=1)
    single = {f"projection/{name}/pca" for name in ("conv1", "conv2", "fc1.input")}
    assert set(image_steps(tmp_path)) == {*single, "projection/overview"}


def test_every_layer_and_method_has_its_picture_and_numbers_and_all_stand_in_an_overview(tmp_path):
    layers, methods = ["conv1", "pool", "act"], ["pca", "tsne"]
    callback = EmbeddingProjection(layers=layers, method=methods, on_error="raise")
    fit(tmp_path, [callback])
    places = [f"projection/{layer}/{method}" for layer in layers for method in methods]
    films = {f"{place}/film": [12] for place in places}
    assert image_steps(tmp_path) == {tag: [6, 12] for tag in [*places, "projection/overview"]} | films
    reader = events(tmp_path)
    (overview, *_) = reader.Images("projection/overview")
    assert (overview.height, overview.width) == (50 + 2 * 390, 30 + 3 * 350)
    targets = callback.probe.samples.targets.numpy()
    numbers = {}
    for layer, method in product(layers, methods):
        layout = points(callback, layer, method)
        k = min(10, np.bincount(targets).min() - 1)
        nearest = KNeighborsClassifier(k, algorithm="brute")
        numbers[f"projection/{layer}/{method}/knn_neighbours"] = k
        numbers[f"projection/{layer}/{method}/knn_accuracy"] = cross_val_score(
            nearest, layout, targets, cv=LeaveOneOut()
        ).mean()
        numbers[f"projection/{layer}/{method}/silhouette"] = silhouette_score(layout, targets)
    ours = [tag for tag in reader.Tags()["scalars"] if tag.startswith("projection/")]
    others = {f"{place}/{name}" for place in places for name in ("trustworthiness", "movement")}
    assert set(ours) == {*numbers, *others, *(f"projection/{layer}/tsne/divergence" for layer in layers)}
    for tag in ours:
        assert [event.step for event in reader.Scalars(tag)] == ([12] if tag.endswith("movement") else [6, 12])
        if tag in numbers:
            assert reader.Scalars(tag)[-1].value == pytest.approx(numbers[tag], abs=1e-5)


def test_the_layout_of_a_method_is_the_same_beside_another(tmp_path):
    both = EmbeddingProjection(layers="act", method=["tsne", "pca"], on_error="raise")
    fit(tmp_path / "both", [both])
    for method in ("tsne", "pca"):
        alone = EmbeddingProjection(layers="act", method=method, on_error="raise")
        fit(tmp_path / method, [alone])
        assert np.array_equal(points(alone, "act", method), points(both, "act", method))


def test_all_layers_and_methods_share_one_pass_through_the_model(tmp_path):
    class Counting(TinyNet):
        passes = 0

        def forward(self, x):
            Counting.passes += 1
            return super().forward(x)

    counts = []
    for name, layers, method in [("one", "act", "pca"), ("many", ["conv1", "conv2", "act"], ["pca", "tsne"])]:
        Counting.passes = 0
        fit(tmp_path / name, [EmbeddingProjection(layers=layers, method=method, on_error="raise")], model=Counting())
        counts.append(Counting.passes)
    assert counts[0] == counts[1]


def test_a_layer_that_cannot_be_laid_out_leaves_the_others_their_places(tmp_path):
    class Dead(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            with torch.no_grad():
                pl_module.fc2.weight.zero_()
                pl_module.fc2.bias.zero_()

    with pytest.warns(UserWarning, match="EmbeddingProjection failed to draw; .* equal"):
        fit(tmp_path, [Dead(), EmbeddingProjection(layers=["act", "fc2"], method=["pca", "tsne"])], max_epochs=1)
    assert set(image_steps(tmp_path)) == {"projection/act/pca", "projection/act/tsne", "projection/overview"}
    (overview,) = events(tmp_path).Images("projection/overview")
    assert overview.width == 30 + 350


def test_the_layout_is_the_pca_of_the_activations(tmp_path):
    probe = Probe.from_tensors(TinyData(32).images, TinyData(32).targets)
    callback = EmbeddingProjection(layers="fc1", method="pca", probe=probe, on_error="raise")
    model = fit(tmp_path, [callback], max_epochs=1).lightning_module.eval()
    caught = []
    model.fc1.register_forward_hook(lambda _, __, output: caught.append(output.detach().double().numpy()))
    with torch.no_grad():
        model(probe.samples.inputs)
    expected = PCA(2, svd_solver="full").fit_transform(caught[0])
    layout = points(callback, "fc1", "pca")
    signs = np.sign((layout * expected).sum(axis=0))
    np.testing.assert_allclose(layout * signs, expected, atol=1e-4)


def test_points_move_from_epoch_to_epoch_instead_of_jumping(tmp_path):
    class Still(TinyNet):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.0)

    still = EmbeddingProjection(layers="act", on_error="raise")
    fit(tmp_path, [still], model=Still(), max_epochs=4)
    layouts = [frame.layout.points for frame in still._layouts.snapshots["act", "tsne"]]
    moved = [np.median(np.linalg.norm(b - a, axis=1)) / a.std() for a, b in pairwise(layouts)]
    logged = [value for _, value in scalars(tmp_path, "projection/act/tsne/movement")]
    assert logged == pytest.approx(moved, rel=0.5, abs=1e-3)
    cold = EmbeddingProjection(layers="act", on_error="raise", seed=1)
    fit(tmp_path / "cold", [cold], model=Still(), max_epochs=1)
    jumped = np.median(np.linalg.norm(points(cold, "act", "tsne") - layouts[0], axis=1)) / layouts[0].std()
    assert max(moved[1:]) < jumped / 3


@pytest.mark.parametrize("method", ["tsne", ["pca", "tsne"]], ids=str)
def test_a_resumed_run_goes_on_from_the_layout(method, tmp_path):
    callback = EmbeddingProjection(method=method)
    fit(tmp_path, [callback]).save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"][callback.state_key]
    resumed = EmbeddingProjection(method=method)
    resumed.load_state_dict(saved)
    assert resumed._layouts.snapshots.keys() == {("act", one) for one in callback.methods}
    for key, frames in callback._layouts.snapshots.items():
        assert [frame.step for frame in frames] == [6, 12]
        for frame, again in zip(frames, resumed._layouts.snapshots[key], strict=True):
            np.testing.assert_allclose(again.layout.points, frame.layout.points, rtol=1e-3)
            assert again[:2] == frame[:2]
            assert again.layout[1:] == frame.layout[1:]
            np.testing.assert_array_equal(again.quality, frame.quality)


def test_the_film_of_a_resumed_run_has_the_frames_of_both(tmp_path):
    first = fit(tmp_path, [EmbeddingProjection(on_error="raise")], max_epochs=2)
    first.save_checkpoint(tmp_path / "last.ckpt")
    again = EmbeddingProjection(on_error="raise")
    trainer(tmp_path, [again], max_epochs=4).fit(TinyNet(), *loaders(), ckpt_path=tmp_path / "last.ckpt")
    assert [frame.step for frame in again._layouts.snapshots["act", "tsne"]] == [6, 12, 18, 24]
    moved = [frame.quality.movement for frame in again._layouts.snapshots["act", "tsne"]]
    assert np.isnan(moved[0])
    assert np.isfinite(moved[1:]).all()  # across the seam too


def test_the_film_shows_all_layouts_and_is_kept_as_a_file(tmp_path):
    fit(tmp_path, [EmbeddingProjection(layers="act")], max_epochs=3)
    (film,) = events(tmp_path).Images("projection/act/tsne/film")
    assert film.step == 18
    animation = Image.open(BytesIO(film.encoded_image_string))
    assert animation.is_animated
    assert (animation.width, animation.height) == (film.width, film.height)
    last = [frame.copy().convert("RGB") for frame in ImageSequence.Iterator(animation)][-1]
    assert len(last.getcolors(10_000)) > 5
    assert (tmp_path / "run" / "cnnviz" / "projection_act_tsne_film.png").read_bytes() == film.encoded_image_string


def test_without_history_there_is_no_film(tmp_path):
    callback = EmbeddingProjection(layers="act", history=0, on_error="raise")
    fit(tmp_path, [callback], max_epochs=3)
    assert image_steps(tmp_path) == {"projection/act/tsne": [6, 12, 18]}
    assert len(callback._layouts.snapshots["act", "tsne"]) == 1


def test_while_one_is_at_work_the_others_wait_and_none_is_lost(tmp_path, monkeypatch):
    at_work = threading.Event()
    project = EmbeddingProjection._project

    def slow(self, *arguments):
        at_work.wait(60)  # until the training is over
        return project(self, *arguments)

    class Over(pl.Callback):
        def on_train_end(self, *_):
            at_work.set()

    monkeypatch.setattr(EmbeddingProjection, "_project", slow)
    fit(tmp_path, [EmbeddingProjection(layers="act"), Over()], max_epochs=6)
    assert image_steps(tmp_path)["projection/act/tsne"] == [6, 12, 18, 24, 30, 36]
    assert "cnnviz/left_out/EmbeddingProjection" not in events(tmp_path).Tags()["scalars"]


def test_the_training_thread_does_not_wait_for_layouts(tmp_path, monkeypatch):
    threads = set()
    for name in ("principal_components", "project", "measure"):
        function = getattr(embedding_projection, name)

        def watched(*arguments, function=function, **options):
            threads.add(threading.current_thread().name)
            return function(*arguments, **options)

        monkeypatch.setattr(embedding_projection, name, watched)  # no function of the package: it runs here
    fit(tmp_path, [EmbeddingProjection(layers="act")], max_epochs=1)
    assert threads == {"lightning_cnnviz.Computing"}


def test_projections_by_other_methods_have_other_places_in_a_checkpoint():
    keys = {EmbeddingProjection(method=method).state_key for method in ("tsne", "pca", ["tsne", "pca"])}
    assert len(keys) == 3
    assert EmbeddingProjection(method=["pca"]).state_key == EmbeddingProjection(method="pca").state_key


class Shown(TinyNet):
    """A net whose layer `shown` gives, in each epoch, the rows of a table of its own."""

    def __init__(self, tables):
        super().__init__()
        self.tables = [torch.as_tensor(table, dtype=torch.float32) for table in tables]
        self.shown, self.head = nn.Identity(), nn.Linear(tables[0].shape[1], 2)

    def forward(self, x):
        return self.head(self.shown(self.tables[min(self.current_epoch, len(self.tables) - 1)][x[:, 0].long()]))

    def training_step(self, batch, batch_idx):
        return self(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1e-9)


def fit_shown(tmp_path, tables, classes, **options):
    """Fits a `Shown`, with a projection of all its rows."""
    x, y = torch.arange(len(classes)).float()[:, None], torch.as_tensor(classes)
    probe = Probe.from_tensors(x, y)
    callback = EmbeddingProjection(layers="shown", num_samples=len(x), probe=probe, on_error="raise", **options)
    options = {"logger": TensorBoardLogger(tmp_path, "run", ""), "max_epochs": len(tables), "accelerator": "cpu"}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    run = pl.Trainer(callbacks=[callback], **options, **quiet)
    run.fit(Shown(tables), DataLoader(TensorDataset(x[:8], y[:8]), 4))
    return callback


def test_the_neighbours_are_fewer_than_the_smallest_class_has_samples_and_logged_with_the_accuracy(tmp_path):
    classes = np.repeat(np.arange(10), 4)
    circle = 100 * np.stack([np.cos(classes * np.pi / 5), np.sin(classes * np.pi / 5)], axis=1)
    table = circle + np.random.default_rng(0).normal(size=circle.shape)
    gone = np.where(np.arange(40)[:, None] == 0, np.nan, table)  # the first sample, in the second epoch
    fit_shown(tmp_path / "whole", [table, gone, table], classes, method="pca")
    logged = {
        name: [event.value for event in events(tmp_path / "whole").Scalars(f"projection/shown/pca/knn_{name}")]
        for name in ("accuracy", "neighbours")
    }
    assert logged == {"accuracy": [1, 1, 1], "neighbours": [3, 2, 3]}
    fit_shown(tmp_path / "lone", [table], np.where(np.arange(40) == 39, 10, classes), method="pca")
    reader = events(tmp_path / "lone")
    last = [reader.Scalars(f"projection/shown/pca/knn_{name}")[-1].value for name in ("accuracy", "neighbours")]
    assert last == [1, 2]
    assert reader.Scalars("projection/shown/pca/knn_left_out")[-1].value == 1


def test_layouts_of_clusters_that_form_are_begun_anew_until_they_have_and_the_tab_says_which(tmp_path):
    draw, classes = np.random.default_rng(1), np.arange(200) % 5
    centres, own = draw.normal(size=(5, 20)), draw.normal(size=(200, 20))
    strengths = (0.05, 0.5, 1.0, 1.0)
    tables = [strength * centres[classes] + own for strength in strengths]
    callback = fit_shown(tmp_path, tables, classes)
    layouts = [snapshot.layout for snapshot in callback._layouts.snapshots["shown", "tsne"]]
    assert [layout.origin for layout in layouts] == ["first", "anew", "anew", "continued"]
    records = events(tmp_path).Tensors("cnnviz/projection/shown/tsne")
    headers = [json.loads(record.tensor_proto.string_val[0]) for record in records]
    assert [header["origin"] for header in headers] == [layout.origin for layout in layouts]


def of_class(data, kept):
    return Subset(data, [index for index in range(len(data)) if int(data.targets[index]) in kept])


@pytest.mark.parametrize(("kept", "size"), [({2}, 48), ({0, 1, 2, 3}, 8)], ids=["one class", "few samples"])
def test_one_class_and_fewer_samples_than_the_perplexity_needs(kept, size, tmp_path):
    data = DataLoader(of_class(TinyData(size), kept), 4), DataLoader(of_class(TinyData(size), kept), 4)
    callback = EmbeddingProjection(perplexity=30, on_error="raise")
    fit(tmp_path, [callback], data=data, max_epochs=1)
    assert len(image_steps(tmp_path)["projection/act/tsne"]) == 1
    assert np.isfinite(points(callback, "act", "tsne")).all()
    numbers = {tag for tag in events(tmp_path).Tags()["scalars"] if tag.startswith("projection/")}
    known = ("knn_accuracy", "silhouette")[: len(kept)]
    more = ("knn_neighbours", "trustworthiness", "divergence")
    assert numbers == {f"projection/act/tsne/{name}" for name in (*known, *more)}


@pytest.mark.parametrize("value", [float("nan"), 0.0], ids=["non-finite", "constant"])
def test_activations_that_cannot_be_laid_out_get_one_line(value, tmp_path):
    class Break(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            with torch.no_grad():
                pl_module.fc1.weight.fill_(value)

    with pytest.warns(UserWarning, match="EmbeddingProjection failed to draw; .* (finite|equal)") as caught:
        run = fit(tmp_path, [Break(), EmbeddingProjection()])
    assert len([warning for warning in caught if "EmbeddingProjection" in str(warning.message)]) == 1
    assert run.global_step == 12


def test_too_few_samples_get_one_line(tmp_path):
    data = DataLoader(TinyData(4), 2), DataLoader(TinyData(4), 2)
    with pytest.warns(UserWarning, match="at least 5 samples with finite activations, got 4"):
        fit(tmp_path, [EmbeddingProjection()], data=data, max_epochs=1)


def test_data_without_class_numbers_is_drawn_grey(tmp_path):
    class Images(TinyData):
        def __getitem__(self, index):
            return super().__getitem__(index)[0]

    class Net(TinyNet):
        def training_step(self, batch, batch_idx):
            return (self(batch) - batch.mean((1, 2, 3))[:, None]).square().mean()

        def validation_step(self, batch, batch_idx):
            self(batch)

    data = DataLoader(Images(), 8), DataLoader(Images(), 8)
    fit(tmp_path, [EmbeddingProjection(on_error="raise")], model=Net(), data=data, max_epochs=1)
    assert image_steps(tmp_path) == {"projection/act/tsne": [6]}
    known = [tag for tag in events(tmp_path).Tags()["scalars"] if tag.startswith("projection/")]
    assert known == ["projection/act/tsne/trustworthiness", "projection/act/tsne/divergence"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "mds"}, r'"tsne", "pca", "umap" or a list of them, got \'mds\''),
        ({"method": []}, r"a list of them, got \[\]"),
        ({"method": ["pca", "pca"]}, "a list of them, got"),
        ({"method": ["pca", "mds"]}, "a list of them, got"),
        ({"num_samples": 4}, "at least 5, got 4"),
        ({"history": -1}, "at least 0, got -1"),
        ({"perplexity": 1}, "above 1, got 1"),
        ({"perplexity": float("nan")}, "above 1, got nan"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingProjection(**arguments)


def test_nothing_but_the_projection_is_logged(tmp_path):
    fit(tmp_path, [EmbeddingProjection()], max_epochs=1)
    ours = [tag for tag in events(tmp_path).Tags()["scalars"] if "rojection" in tag]
    names = ("knn_accuracy", "knn_neighbours", "silhouette", "trustworthiness", "divergence")
    numbers = [f"projection/act/tsne/{name}" for name in names]
    costs = [f"cnnviz/{cost}/EmbeddingProjection" for cost in ("cost", "cost_share")]
    assert sorted(ours) == sorted([*numbers, *costs])


def test_a_logger_that_takes_no_pictures_gets_the_numbers(tmp_path):
    logger = NumbersLogger()
    with pytest.warns(UserWarning, match="NumbersLogger cannot log images"):
        fit(tmp_path, [EmbeddingProjection(method="pca", on_error="raise")], logger=logger, max_epochs=1)
    assert any("projection/act/pca/silhouette" in row for _, row in logger.rows)


def test_predictions_are_those_of_the_layouts_step(tmp_path):
    class Turning(TinyNet):
        def on_train_epoch_start(self):
            with torch.no_grad():
                self.fc2.bias.copy_(1000 * torch.eye(4)[self.current_epoch % 4])

    frozen = Turning(learning_rate=0.0)  # what is shown differs by the bias alone, and no layer can saturate
    fit(tmp_path, [EmbeddingProjection(num_samples=20, history=0, on_error="raise")], model=frozen, max_epochs=6)
    shown = {}
    for event in events(tmp_path).Tensors("cnnviz/projection/act/tsne"):
        header, payload = event.tensor_proto.string_val
        parts = {part["name"]: part for part in json.loads(header)["arrays"]}
        count, _ = parts["points"]["shape"]
        predicted = np.frombuffer(payload, np.int16, count, offset=8 * count)
        shown[event.step] = set(predicted.tolist())
        points = np.frombuffer(payload, np.float32, 2 * count).reshape(count, 2)
        bounds = np.frombuffer(payload, np.float32, 4, offset=10 * count).reshape(2, 2)
        np.testing.assert_array_equal(bounds, [points.min(axis=0), points.max(axis=0)])
    assert len(shown) == 6
    assert shown == {step: {(step // 6 - 1) % 4} for step in shown}
