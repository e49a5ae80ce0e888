import subprocess
import sys

import pytest
import torch
from helpers.tiny import TinyData, TinyNet, events, fit, scalars
from pytorch_lightning import Callback
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_cnnviz import (
    ActivationStats,
    Architecture,
    ClassReport,
    Diagnosis,
    EmbeddingProjection,
    FeatureMaps,
    FilterResponse,
    GradientFlow,
    KernelGrid,
    LossAccuracy,
    MaximallyActivatingPatches,
    Probe,
    RunReport,
    Saliency,
    SampleHistory,
    cnnviz_callbacks,
)

STANDARD = [
    *(LossAccuracy, GradientFlow, Architecture, ClassReport, KernelGrid, FeatureMaps, ActivationStats),
    *(EmbeddingProjection, Diagnosis),
]
PRESETS = ["minimal", "standard", "full"]


def of(callbacks, kind):
    return [callback for callback in callbacks if type(callback) is kind]


def test_presets_hold_what_they_promise():
    kinds = {preset: [type(callback) for callback in cnnviz_callbacks(preset)] for preset in PRESETS}
    assert kinds["minimal"] == [LossAccuracy, GradientFlow]
    assert set(kinds["standard"]) == set(STANDARD)
    assert kinds["full"] == [
        *kinds["standard"],
        *(FilterResponse, MaximallyActivatingPatches, SampleHistory, Saliency),
    ]
    assert [type(callback) for callback in cnnviz_callbacks()] == kinds["standard"]


def test_the_full_set_does_without_captum():
    code = "import sys; sys.modules['captum'] = None; from lightning_cnnviz import presets; print(*presets.FULL)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert "FilterResponse" in found.stdout
    assert "Saliency" not in found.stdout


@pytest.mark.parametrize("preset", PRESETS)
def test_every_call_makes_new_callbacks_that_can_be_told_apart(preset):
    one, other = cnnviz_callbacks(preset), cnnviz_callbacks(preset)
    assert all(isinstance(callback, Callback) for callback in one)
    assert not {id(callback) for callback in one} & {id(callback) for callback in other}
    assert len({callback.state_key for callback in one}) == len(one)


@pytest.mark.parametrize(
    ("preset", "asked", "methods"),
    [
        ("standard", {}, ["tsne"]),
        ("full", {}, ["tsne", "pca"]),
        ("full", {"method": "pca"}, ["pca"]),
        ("full", {"method": ["pca", "tsne"]}, ["pca", "tsne"]),
    ],
)
def test_the_full_set_projects_both_ways_unless_told_otherwise(preset, asked, methods):
    (projection,) = of(cnnviz_callbacks(preset, **asked), EmbeddingProjection)
    assert projection.methods == methods


def test_options_go_to_every_callback_that_takes_them():
    callbacks = cnnviz_callbacks("full", every_n_epochs=5, on_error="raise")
    drawn = [callback for callback in callbacks if type(callback) not in (Architecture, Diagnosis)]
    assert all(callback.schedule.every_n_epochs == 5 for callback in drawn)
    assert all(callback.on_error == "raise" for callback in callbacks)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_report_comes_where_it_is_asked_for(preset):
    kinds = [type(callback) for callback in cnnviz_callbacks(preset)]
    assert [type(callback) for callback in cnnviz_callbacks(preset, report=True)] == [*kinds, RunReport]
    assert [type(callback) for callback in cnnviz_callbacks(preset, report=False)] == kinds
    assert type(cnnviz_callbacks(preset, report=True, max_overhead=0.1)[-2]) is RunReport


def test_a_channel_of_kernels_that_filter_responses_do_not_know_leaves_them_alone():
    (kernels,) = of(cnnviz_callbacks("full", channel="mean"), KernelGrid)
    assert kernels.channel == "mean"


def test_the_architecture_is_drawn_once_and_whole():
    (architecture,) = of(cnnviz_callbacks(every_n_epochs=5, layers="conv*"), Architecture)
    assert architecture.schedule.every_n_epochs is None
    assert architecture.layers is None


def test_options_of_one_callback_leave_the_others_alone():
    probe = Probe(50)
    callbacks = cnnviz_callbacks("standard", perplexity=12.0, max_kernels=7, num_images=3, exploding=9.0, probe=probe)
    (projection,) = of(callbacks, EmbeddingProjection)
    (kernels,) = of(callbacks, KernelGrid)
    (maps,) = of(callbacks, FeatureMaps)
    (gradients,) = of(callbacks, GradientFlow)
    assert projection.perplexity == 12
    assert kernels.max_kernels == 7
    assert maps.num_images == 3
    assert gradients.exploding == 9
    assert projection.probe is probe
    assert maps.probe is probe


def test_layers_say_what_to_show_not_where_the_class_scores_come_from():
    callbacks = cnnviz_callbacks("standard", layers="conv*")
    whole = {type(callback) for callback in callbacks if getattr(callback, "layers", "") is None}
    assert whole == {LossAccuracy, ClassReport, Architecture}


@pytest.mark.parametrize(
    "options",
    [{"class_names": ["cat", "dog"]}, {"probe": Probe(50, class_names=["cat", "dog"])}],
    ids=["names", "probe"],
)
def test_class_names_reach_all_who_write_them(options):
    callbacks = cnnviz_callbacks("full", **options)
    probes = {callback.probe for callback in callbacks if hasattr(callback, "probe")}
    assert [probe.class_names for probe in probes] == [["cat", "dog"]]  # and all share one
    (report,) = of(callbacks, ClassReport)
    assert report.class_names == ["cat", "dog"]


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="expected preset to be one of minimal, standard, full, got 'everything'"):
        cnnviz_callbacks("everything")


def test_an_option_that_nobody_takes_is_refused_with_those_there_are():
    with pytest.raises(TypeError, match=r"of the minimal preset accepts colour; options are: .*every_n_epochs"):
        cnnviz_callbacks("minimal", colour="red")


def test_an_option_of_a_larger_set_is_refused_in_a_smaller_one():
    assert cnnviz_callbacks("standard", perplexity=12.0)
    with pytest.raises(TypeError, match="no callback of the minimal preset accepts perplexity"):
        cnnviz_callbacks("minimal", perplexity=12.0)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"every_n_epochs": 0}, "expected every_n_epochs to be at least 1"),
        ({"on_error": "ignore"}, "expected on_error to be"),
        ({"every_n_epochs": 1, "every_n_train_steps": 5}, "pass only one"),
    ],
)
def test_an_impossible_value_is_refused_by_the_callback_that_gets_it(option, message):
    with pytest.raises(ValueError, match=message):
        cnnviz_callbacks(**option)


@pytest.mark.parametrize(
    "said", [{"probe": Probe(20, inputs=1, targets=2)}, {"num_samples": 20, "inputs": 1, "targets": 2}]
)
def test_what_is_said_of_the_batch_once_holds_for_all(said, tmp_path):
    class Indexed(TinyNet):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch[1:], batch_idx)

        def validation_step(self, batch, batch_idx):
            scores = self(batch[1])
            self.hits = [*getattr(self, "hits", []), *(scores.argmax(1) == batch[2]).tolist()]

        def on_validation_epoch_end(self):
            self.share, self.hits = sum(self.hits) / len(self.hits), []

    def loader(seed):
        data = TinyData(40, seed=seed)
        return DataLoader(TensorDataset(torch.arange(40) % 7, data.images, data.targets), 8)

    run = fit(tmp_path, cnnviz_callbacks(**said, method="pca"), model=Indexed, data=(loader(0), loader(1)))
    assert scalars(tmp_path, "curves/accuracy/val")[-1][1] == pytest.approx(run.lightning_module.share)
    accuracies = [tag for tag in events(tmp_path).Tags()["scalars"] if tag.startswith("class_report/accuracy/")]
    assert len(accuracies) == 4


class Signs(TinyNet):
    """One output, a logit, whose loss is written out; the batch is nested, and `forward` returns something else."""

    def __init__(self):
        super().__init__()
        self.fc2 = nn.Linear(16, 1)

    def forward(self, x):
        return 100 + super().forward(x)

    def loss(self, batch):
        scores = self(batch["data"]["image"])[:, 0] - 100
        truth = batch["label"]
        self.hits = [*getattr(self, "hits", []), *((scores > 0) == (truth > 0)).tolist()]
        return (scores.exp() + 1).log().mean() - (truth * scores).mean()

    def training_step(self, batch, batch_idx):
        return self.loss(batch)

    def on_validation_epoch_start(self):
        self.hits = []

    def validation_step(self, batch, batch_idx):
        self.loss(batch)

    def on_validation_epoch_end(self):
        self.share = sum(self.hits) / len(self.hits)


def nested(seed):
    data = TinyData(40, seed=seed)
    rows = [{"data": {"noise": torch.rand(3, 3), "image": x}, "label": (y > 1).long()} for x, y in data]
    return DataLoader(rows, 8)


@pytest.mark.parametrize("preset", ["minimal", "standard"])
def test_task_scores_and_nested_inputs_can_be_said_for_all(preset, tmp_path):
    said = {"task": "binary_logits", "scores": "fc2", "inputs": ["data", "image"], "targets": "label"}
    more = {} if preset == "minimal" else {"num_samples": 20, "method": "pca"}
    callbacks = cnnviz_callbacks(preset, **said, **more)
    run = fit(tmp_path, callbacks, model=Signs, data=(nested(0), nested(1)))
    assert scalars(tmp_path, "curves/accuracy/val")[-1][1] == pytest.approx(run.lightning_module.share)
    if preset == "standard":
        maps = next(callback for callback in callbacks if isinstance(callback, FeatureMaps))
        samples, output = maps.activations(run, run.lightning_module, ["conv1"], 20)
        with torch.no_grad():
            scores = run.lightning_module.eval()(samples.inputs)[:, 0] - 100
        assert maps.predicted(output.output, 20).tolist() == (scores > 0).long().tolist()
        assert [tag for tag in events(tmp_path).Tags()["scalars"] if tag.startswith("class_report/accuracy/")]


def test_where_there_are_no_classes_nothing_is_counted_and_nothing_is_said(tmp_path, recwarn, caplog):
    caplog.set_level("INFO")
    fit(tmp_path, cnnviz_callbacks(task="none", num_samples=20, method="pca"))
    found = events(tmp_path).Tags()
    assert not [tag for tag in (*found["scalars"], *found["images"]) if tag.startswith("class_report/")]
    assert "curves/accuracy/train" not in found["scalars"]  # which the module does not log
    assert "no accuracy" not in caplog.text
    assert not [warning for warning in recwarn if "ClassReport" in str(warning.message)]


@pytest.mark.parametrize("preset", ["minimal", "standard"])
def test_an_unknown_task_is_refused_with_those_there_are(preset):
    with pytest.raises(ValueError, match="expected task to be one of multiclass, binary_logits, "):
        cnnviz_callbacks(preset, task="binary")
