"""What is shown of samples is what the model computes of these samples, with the weights that it is trained with."""

import copy
import io

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.reading import written
from helpers.tiny import TinyData, TinyNet, events, fit, scalars
from helpers.untouched import Prepared
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from lightning_cnnviz import ClassReport, FeatureMaps, KernelGrid, Probe


class Seen(FeatureMaps):
    """Keeps what it shows, and a copy of the model at that time."""

    def __init__(self, **options):
        super().__init__(**{"num_images": 20, "probe": Probe(20), **options})
        self.given = []

    def activations(self, trainer, module, layers, count):
        samples, seen = super().activations(trainer, module, layers, count)
        weights = copy.deepcopy(module.state_dict())
        self.given.append((samples._replace(inputs=samples.inputs.clone()), seen, weights))
        return samples, seen


DATA = TinyData(24, seed=1)


def loaders():
    return DataLoader(TinyData(24), 8), DataLoader(DATA, 8)


def shown(folder, model, callbacks=(), data=loaders, **options):
    visual = Seen(on_error="raise")
    fit(folder, [visual, *callbacks], model=model, data=data(), **{"max_epochs": 2, **options})
    assert len(visual.given) == options.get("max_epochs", 2)
    return visual


def maps_of(model, weights, inputs):
    net, maps = model().eval(), []
    net.load_state_dict(weights)
    net.conv2.register_forward_hook(lambda _, __, result: maps.append(result.detach().clone()))
    with torch.no_grad():
        net(inputs.clone())
    return maps[-1]


class Averaging(TinyNet):
    """Validates with averaged weights, which it swaps in and out itself."""

    kept = average = None

    def on_train_batch_end(self, *_):
        now = {name: value.clone() for name, value in self.state_dict().items()}
        before = self.average or now
        self.average = {name: before[name].lerp(now[name], 0.1) if "num" not in name else now[name] for name in now}

    def on_validation_epoch_start(self):
        if self.average is not None:
            self.kept = {name: value.clone() for name, value in self.state_dict().items()}
            self.load_state_dict(self.average)

    def on_validation_epoch_end(self):
        if self.kept is not None:
            self.load_state_dict(self.kept)


class LastUnused(TinyNet):
    """Its last weight is never trained, so that it is its own average."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(1, 1)


class Halving(TinyNet):
    """Changes weights between the validation and the end of the epoch."""

    def on_validation_end(self):
        if not self.trainer.sanity_checking:
            self.conv2.weight.data.mul_(0.5)


class Uncertain(Prepared):
    """Validates with dropout, to measure its uncertainty."""

    def build(self):
        self.uncertain = nn.Dropout(0.5)

    def before(self, x):
        return self.uncertain(x)

    def on_validation_start(self):
        self.uncertain.train()


class InPlace(Prepared):
    """Normalises its inputs where they are."""

    def before(self, x):
        x -= 0.5
        return x


class Hooked(TinyNet):
    """A hook of the user's changes what a layer returns."""

    def __init__(self):
        super().__init__()
        self.conv1.register_forward_hook(lambda _, __, result: 0.1 * result)


KINDS = [
    Averaging,
    LastUnused,
    Halving,
    Uncertain,
    InPlace,
    Hooked,
]


@pytest.mark.skipif(not hasattr(pl.callbacks, "EMAWeightAveraging"), reason="Lightning 2.6 or newer")
@pytest.mark.parametrize("model", KINDS, ids=lambda kind: kind.__name__)
def test_maps_are_what_the_model_computes_with_its_weights_at_that_step(model, tmp_path):
    averaging = [pl.callbacks.EMAWeightAveraging(decay=0.9)] if model is LastUnused else []
    for samples, seen, weights in shown(tmp_path, model, averaging).given:
        torch.testing.assert_close(seen.layers["conv2"], maps_of(model, weights, samples.inputs))


class Following(pl.Callback):
    """Keeps the weights that each validation runs with."""

    weights = None

    def on_validation_batch_end(self, trainer, pl_module, *_):
        self.weights = copy.deepcopy(pl_module.state_dict())


def picture(folder, tag):
    image = events(folder).Images(tag)[-1]
    return np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))


@pytest.mark.skipif(not hasattr(pl.callbacks, "EMAWeightAveraging"), reason="Lightning 2.6 or newer")
@pytest.mark.parametrize("first", [True, False], ids=["averaging first", "averaging last"])
def test_pictures_say_which_weights_they_show_where_averaged_ones_validate(first, tmp_path):
    following, averaging = Following(), pl.callbacks.EMAWeightAveraging(decay=0.9)
    ours = [KernelGrid(), FeatureMaps(num_images=2, probe=Probe(4)), ClassReport()]
    callbacks = [averaging, *ours, following] if first else [*ours, averaging, following]
    fit(tmp_path, callbacks, data=loaders(), max_epochs=2)
    head = "epoch 2 · step 6"
    assert written(picture(tmp_path, "kernels/conv1"), f"conv1 · {head} · training weights", size=15)
    maps = f"conv1 · {head} · training weights · validation samples"
    assert written(picture(tmp_path, "feature_maps/conv1"), maps, size=15)
    assert written(picture(tmp_path, "class_report/confusion"), f"confusion · {head} · averaged weights", size=15)
    net = TinyNet().eval()
    net.load_state_dict(following.weights)
    right = net(DATA.images).argmax(1) == DATA.targets
    for number, name in enumerate(TinyData.classes):
        (*_, (_, accuracy)) = scalars(tmp_path, f"class_report/accuracy/{name}")
        assert accuracy == pytest.approx(right[DATA.targets == number].float().mean().item())


def test_that_a_module_itself_swaps_its_weights_for_validation_is_seen_from_its_second_one_on(tmp_path):
    callbacks = [FeatureMaps(num_images=2, probe=Probe(4))]
    run = fit(tmp_path, callbacks, model=Averaging, data=loaders(), max_epochs=2)
    assert "training weights" in callbacks[0].title("conv1", run)
    fit(tmp_path / "plain", callbacks, data=loaders(), max_epochs=2)
    assert "weights" not in callbacks[0].title("conv1", run)


def test_samples_stay_what_the_data_are_if_the_model_changes_its_inputs(tmp_path):
    images = {tuple(image.flatten().tolist()) for image in DATA.images}
    for samples, *_ in shown(tmp_path, InPlace).given:
        assert {tuple(image.flatten().tolist()) for image in samples.inputs} <= images


class Named(Dataset):
    def __init__(self, seed=0):
        self.data = TinyData(24, seed=seed)

    def __len__(self):
        return 24

    def __getitem__(self, index):
        image, target = self.data[index]
        return {"image": image, "label": target}


class Popping(TinyNet):
    """Takes out of a batch what it gives to the model by itself, as is common with transformers."""

    taken = "label"

    def training_step(self, batch, batch_idx):
        parts = dict(batch)
        batch.pop(self.taken)
        return F.cross_entropy(self(parts["image"]), parts["label"])

    def validation_step(self, batch, batch_idx):
        self.training_step(batch, batch_idx)


class PoppingImage(Popping):
    taken = "image"


@pytest.mark.parametrize("model", [Popping, PoppingImage])
def test_samples_have_their_classes_if_the_step_takes_its_batch_apart(model, tmp_path):
    visual = shown(tmp_path, model, data=lambda: (DataLoader(Named(), 8), DataLoader(Named(1), 8)))
    for samples, *_ in visual.given:
        assert sorted(set(samples.targets.tolist())) == [0, 1, 2, 3]


def test_callbacks_used_for_another_fold_show_the_validation_of_that_fold(tmp_path):
    visual = Seen(on_error="raise")
    for fold in (5, 6):
        val = TinyData(24, seed=fold)
        fit(tmp_path / str(fold), [visual], data=(DataLoader(TinyData(24), 8), DataLoader(val, 8)), max_epochs=1)
        images = {tuple(image.flatten().tolist()) for image in val.images}
        assert {tuple(image.flatten().tolist()) for image in visual.given[-1][0].inputs} <= images


class Leaving(TinyNet):
    """Leaves the rest of the epoch out at another batch in each epoch."""

    def on_train_batch_start(self, batch, batch_idx):
        return -1 if batch_idx == self.trainer.current_epoch + 1 else None


def hooks(model):
    return [
        hook for part in model.modules() for hook in (*part._forward_hooks.values(), *part._forward_pre_hooks.values())
    ]


def test_no_hook_stays_if_the_module_leaves_out_batches(tmp_path):
    model = Leaving()
    visual = FeatureMaps(probe=Probe(1000, split="train"), every_n_epochs=3)
    fit(tmp_path, [visual], model=model, data=(DataLoader(TinyData(48), 8), None), max_epochs=4)
    assert hooks(model) == []


def test_that_no_samples_are_found_is_said_once(tmp_path, told):
    class Twice(TinyNet):
        def training_step(self, batch, batch_idx):
            x, y = batch
            return F.cross_entropy(self(x + 0.1) + self(x - 0.1), y)

        def validation_step(self, batch, batch_idx):
            self.training_step(batch, batch_idx)

    fit(tmp_path, [FeatureMaps(probe=Probe(4))], model=Twice, data=loaders())
    assert told().count("is called several times on a batch") == 1
