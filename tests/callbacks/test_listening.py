"""What scores and classes are comes from the training's loss, for every callback that shows them."""

from collections import namedtuple

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.tiny import TinyData, TinyNet, events, fit, loaders, scalars
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from lightning_cnnviz import ClassReport, EmbeddingProjection, FeatureMaps, LossAccuracy, Probe, cnnviz_callbacks
from lightning_cnnviz.callbacks.listening import ListeningCallback


class Arranged(Dataset):
    """The tiny data, with each sample arranged in another way."""

    def __init__(self, size, arrange):
        self.data, self.arrange = TinyData(size), arrange

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return self.arrange(index, *self.data[index])


def arranged(arrange):
    return DataLoader(Arranged(48, arrange), 8), DataLoader(Arranged(24, arrange), 8)


class Plain(TinyNet):
    """Counts its hits itself and logs none."""

    def __init__(self):
        super().__init__()
        self.hits, self.shares = [], []

    def read(self, batch):
        return batch

    def training_step(self, batch, batch_idx):
        x, y = self.read(batch)
        return F.cross_entropy(self(x), y)

    def validation_step(self, batch, batch_idx):
        x, y = self.read(batch)
        self.hits += (self(x).argmax(1) == y).tolist()

    def on_validation_epoch_end(self):
        self.shares.append(np.mean(self.hits))
        self.hits = []

    def test_step(self, batch, batch_idx):
        pass


def run(folder, model, data, callbacks=()):
    counts = [LossAccuracy(on_error="raise"), ClassReport(on_error="raise")]
    return fit(folder, [*counts, *callbacks], model=model, data=data, max_epochs=2, num_sanity_val_steps=0)


class ByPosition(Plain):
    def read(self, batch):
        return batch[1], batch[2]


class ByName(Plain):
    def read(self, batch):
        return batch["image"], batch["digit"]


@pytest.mark.parametrize(
    ("model", "arrange"),
    [
        (ByPosition, lambda index, x, y: (index, x, y)),
        (ByName, lambda index, x, y: {"patient": torch.tensor(index), "image": x, "digit": y}),
    ],
)
def test_an_index_or_patient_before_the_class_is_not_taken_for_it(model, arrange, tmp_path):
    maps = FeatureMaps(on_error="raise", probe=Probe(20))
    net = run(tmp_path, model, arranged(arrange), [maps]).lightning_module
    assert [value for _, value in scalars(tmp_path, "curves/accuracy/val")] == pytest.approx(net.shares[-2:])
    assert "class_report/accuracy/3" in events(tmp_path).Tags()["scalars"]
    assert "class_report/accuracy/4" not in events(tmp_path).Tags()["scalars"]
    data, samples = TinyData(24), maps.probe.samples
    places = [next(i for i, image in enumerate(data.images) if torch.equal(image, one)) for one in samples.inputs]
    assert samples.targets.tolist() == data.targets[places].tolist()  # the first validation knows what the loss told


def test_another_pass_of_the_model_does_not_count(tmp_path):
    class Baseline(Plain):
        def validation_step(self, batch, batch_idx):
            super().validation_step(batch, batch_idx)
            self(torch.zeros_like(batch[0]))

        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self(torch.zeros_like(batch[0]))
            return loss

    net = run(tmp_path, Baseline, loaders()).lightning_module
    assert [value for _, value in scalars(tmp_path, "curves/accuracy/val")] == pytest.approx(net.shares[-2:])


class Regression(TinyNet):
    def __init__(self):
        super().__init__()
        self.fc2 = nn.Linear(16, 1)

    def step(self, batch):
        return F.mse_loss(self(batch[0])[:, 0], batch[1].float())

    def training_step(self, batch, batch_idx):
        return self.step(batch)

    def validation_step(self, batch, batch_idx):
        self.step(batch)


def test_of_values_there_is_no_accuracy_no_report_and_no_predicted_class(tmp_path, caplog):
    caplog.set_level("INFO")
    layout = EmbeddingProjection(num_samples=20, method="pca", on_error="raise")
    with pytest.warns(UserWarning, match="found nothing to report: the loss compares the model's output with values"):
        run(tmp_path, Regression, loaders(), [layout])
    assert not [tag for tag in events(tmp_path).Tags()["scalars"] if "accuracy" in tag]
    assert not [
        tag for tag in events(tmp_path).Tags()["images"] if tag.startswith(("class_report", "curves/accuracy"))
    ]
    assert "LossAccuracy: no accuracy is computed here: the loss compares" in caplog.text
    assert layout.predicted(torch.rand(6, 4), 6) is None
    assert (layout.probe.samples.targets == -1).all()


def test_samples_that_were_passed_keep_their_classes(tmp_path):
    data = TinyData(20)
    probe = Probe.from_tensors(data.images, data.targets)
    fit(tmp_path, [FeatureMaps(probe=probe)], model=Regression, max_epochs=1)
    assert torch.equal(probe.samples.targets.sort().values, data.targets.sort().values)


def test_what_was_named_is_not_questioned(tmp_path):
    data = arranged(lambda index, x, y: (index, x, y))
    counts = [LossAccuracy(inputs=1, targets=0), ClassReport(inputs=1, targets=0)]
    fit(tmp_path, counts, model=ByPosition, data=data, max_epochs=1)
    assert "class_report/accuracy/3" in events(tmp_path).Tags()["scalars"]
    assert all(callback.verdict.targets is None for callback in counts[1:])


def test_listening_ends_with_the_first_step_that_tells(tmp_path):
    starts = []

    class Counting(ListeningCallback):
        def prepare(self, trainer, module):
            self.listen(None, None)

        def learned(self, verdict):
            starts.append(verdict)

    callback = Counting(every_n_epochs=None, every_n_train_steps=None, layers=None, tag="counting", on_error="raise")
    net = fit(tmp_path, [callback], max_epochs=1).lightning_module
    assert len(starts) == 1
    assert not starts[0].reason
    assert not net._forward_hooks


# ---- what is said at the start


def dict_of_images(index, x, y):
    return {"label": y, "image": x}


class ByDict(Plain):
    def read(self, batch):
        return batch["image"], batch["label"]


@pytest.mark.parametrize(
    ("model", "data", "places"),
    [
        (Plain, loaders(), ("batch[0]", "batch[1]")),
        (ByDict, arranged(dict_of_images), ('batch["image"]', 'batch["label"]')),
    ],
    ids=["pair", "dict"],
)
def test_one_line_says_once_what_is_taken_for_what(model, data, places, tmp_path, caplog):
    caplog.set_level("INFO")
    fit(tmp_path, cnnviz_callbacks(num_samples=20), model=model, data=data, max_epochs=1)
    image, target = places
    line = (
        f"lightning_cnnviz reads: image = {image} (1×8×8), class = {target} (4 classes), "
        "scores = output of the model, loss = cross_entropy"
    )
    assert [record.getMessage() for record in caplog.records if "reads:" in record.getMessage()] == [line]


class Hinge(Plain):
    """One output whose sign is the class, −1 or 1, by a loss that is written out."""

    def __init__(self):
        super().__init__()
        self.fc2 = nn.Linear(16, 1)

    def training_step(self, batch, batch_idx):
        signs = 2 * (batch[1] > 1).float() - 1
        return F.relu(1 - self(batch[0])[:, 0] * signs).mean()

    def validation_step(self, batch, batch_idx):
        self(batch[0])


def test_of_a_single_output_nothing_is_counted_unless_the_loss_tells_what_it_is(tmp_path, caplog):
    caplog.set_level("INFO")
    data = arranged(lambda index, x, y: (x, 2 * (y > 1).long() - 1))
    with pytest.warns(UserWarning, match="whether the model's single output is a logit"):
        run(tmp_path, Hinge, data)
    assert not [tag for tag in events(tmp_path).Tags()["scalars"] if "accuracy" in tag]
    assert "LossAccuracy: no accuracy is computed here: the loss is written out" in caplog.text


Graph = namedtuple("Graph", ["nodes", "graph", "y"])


class OfGraphs(pl.LightningModule):
    """A regression on graphs: rows are nodes, whose numbers of a graph are no classes; the loss is written out."""

    def __init__(self):
        super().__init__()
        self.nodes, self.head = nn.Linear(4, 8), nn.Linear(8, 1)

    def training_step(self, batch, batch_idx):
        rows = self.nodes(batch.nodes)
        sums = torch.zeros(len(batch.y), 8).index_add(0, batch.graph, rows)
        return (self.head(sums)[:, 0] - batch.y).square().mean()

    def validation_step(self, batch, batch_idx):
        self.training_step(batch, batch_idx)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def test_what_is_not_certain_is_not_counted_where_the_loss_is_written_out(tmp_path, caplog):
    caplog.set_level("INFO")
    batches = [Graph(torch.rand(14, 4), torch.arange(14) // 4, torch.rand(4)) for _ in range(6)]
    data = DataLoader(batches, batch_size=None), DataLoader(batches[:2], batch_size=None)
    with pytest.warns(UserWarning, match="the step does not call the model itself"):
        run(tmp_path, OfGraphs, data)
    assert not [tag for tag in events(tmp_path).Tags()["scalars"] if "accuracy" in tag]
    assert "LossAccuracy: no accuracy is computed here: the loss is written out" in caplog.text


class WithLengths(Plain):
    """Lines of text, whose lengths are no classes; the loss is written out."""

    def read(self, batch):
        return batch["image"], batch["lengths"]

    def training_step(self, batch, batch_idx):
        return self(batch["image"]).square().mean()


def test_a_length_beside_the_image_is_no_class_of_the_sample(tmp_path, caplog):
    caplog.set_level("INFO")
    maps = FeatureMaps(on_error="raise", probe=Probe(20))
    with pytest.warns(UserWarning, match="whether the batch has class indices"):
        run(tmp_path, WithLengths, arranged(lambda index, x, y: {"image": x, "lengths": y}), [maps])
    assert (maps.probe.samples.targets == -1).all()
    assert not [tag for tag in events(tmp_path).Tags()["scalars"] if "accuracy" in tag]


class Subclass(torch.Tensor):
    """A tensor with metadata, which does not take everything that a tensor takes."""

    def new_empty(self, *size, **options):
        raise TypeError("a size must be a tuple")


def test_tensors_of_a_kind_of_their_own_are_counted(tmp_path):
    class Meta(Plain):
        def read(self, batch):
            return batch[0].as_subclass(Subclass), batch[1]

    net = run(tmp_path, Meta, loaders()).lightning_module
    assert [value for _, value in scalars(tmp_path, "curves/accuracy/val")] == pytest.approx(net.shares[-2:])
    assert len(scalars(tmp_path, "curves/loss/train")) == 2
