"""The picture and the table in the event file say what the trained model is made of."""

import io

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.reading import written
from helpers.tiny import TinyData, TinyNet, events, fit, image_steps, loaders, trainer
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from lightning_cnnviz import Architecture, FeatureMaps, Probe, cnnviz_callbacks

DIAGRAM, TABLE = "architecture/diagram", "architecture/table"
NAMES = ["conv1", "norm", "relu", "conv2", "pool", "fc1", "act", "drop", "fc2"]


def picture(folder, tag=DIAGRAM):
    image = events(folder).Images(tag)[-1]
    return np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))


def tables(folder, tag=TABLE):
    """(step, text) as TensorBoard's text plugin reads them."""
    found = events(folder).Tensors(f"{tag}/text_summary")
    return [(event.step, event.tensor_proto.string_val[0].decode()) for event in found]


def cells(table):
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| `")]
    return {name.strip(" `"): [cell.strip() for cell in rest] for name, *rest in lines}


def test_the_table_in_the_event_file_is_that_of_the_model(tmp_path):
    run = fit(tmp_path, [Architecture(on_error="raise")])
    ((step, table),) = tables(tmp_path)
    assert step == 0
    found = cells(table)
    assert list(found) == NAMES
    for name, (kind, _, parameters, _) in found.items():
        module = run.lightning_module.get_submodule(name)
        assert kind == type(module).__name__
        assert int(parameters.replace(",", "")) == sum(part.numel() for part in module.parameters())
    assert [found[name][1] for name in NAMES] == ["4 × 8 × 8"] * 3 + ["8 × 6 × 6", "8 × 3 × 3"] + ["16"] * 3 + ["4"]
    products = {"conv1": 64 * 4 * 9, "conv2": 36 * 8 * 4 * 9, "fc1": 72 * 16, "fc2": 16 * 4}
    assert {name: int(found[name][3].replace(",", "")) for name in NAMES} == {**dict.fromkeys(NAMES, 0), **products}
    total = sum(part.numel() for part in run.lightning_module.parameters())
    assert f"**{total:,} parameters**: {total:,} trainable, 0 not trainable" in table


def test_the_diagram_in_the_event_file_names_every_layer(tmp_path):
    fit(tmp_path, [Architecture(on_error="raise")])
    assert image_steps(tmp_path) == {DIAGRAM: [0]}
    pixels = picture(tmp_path)
    assert written(pixels, "TinyNet · step 0, before training", size=15)
    for name in NAMES:
        slice_of_another = name in ("norm", "relu", "act", "drop")
        assert written(pixels, name, rows=len(pixels), faint=slice_of_another), name


@pytest.mark.parametrize(
    ("interval", "steps"), [({"every_n_epochs": 1}, [6, 12]), ({"every_n_train_steps": 5}, [5, 10, 12])], ids=str
)
def test_with_an_interval_it_is_drawn_then_and_not_before(interval, steps, tmp_path):
    fit(tmp_path, [Architecture(**interval, on_error="raise")])
    assert image_steps(tmp_path) == {DIAGRAM: steps}
    assert [step for step, _ in tables(tmp_path)] == steps


def test_a_network_that_grows_is_shown_as_it_is_now(tmp_path):
    class Grow(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                pl_module.act = nn.Sequential(nn.Tanh(), nn.Identity())

    fit(tmp_path, [Grow(), Architecture(every_n_epochs=1, on_error="raise")])
    assert [list(cells(table)) for _, table in tables(tmp_path)] == [
        NAMES,
        [*NAMES[:6], "act.0", "act.1", *NAMES[7:]],
    ]


def test_layers_are_chosen(tmp_path):
    fit(tmp_path, [Architecture(layers=["conv*", "fc2"], tag="parts", on_error="raise")])
    ((_, table),) = tables(tmp_path, "parts/table")
    assert list(cells(table)) == ["conv1", "conv2", "fc2"]
    assert "1,176 of the parameters are in no layer above" in table  # fc1 and norm
    assert set(image_steps(tmp_path)) == {"parts/diagram"}


def test_layers_that_do_not_run_get_a_warning(tmp_path):
    class Idle(TinyNet):
        def __init__(self):
            super().__init__()
            self.idle = nn.Conv2d(1, 1, 1)

    with pytest.warns(UserWarning, match="Architecture failed to draw; .* layers='idle': none of these modules ran"):
        fit(tmp_path, [Architecture(layers="idle")], model=Idle())


class Stream(IterableDataset):
    def __iter__(self):
        yield from (TinyData(48)[index] for index in range(48))


def test_of_a_stream_it_is_drawn_with_the_first_batch(tmp_path):
    fit(tmp_path, [Architecture(on_error="raise")], data=(DataLoader(Stream(), 8), None))
    assert image_steps(tmp_path) == {DIAGRAM: [1]}
    assert [step for step, _ in tables(tmp_path)] == [1]


@pytest.mark.parametrize("samples", [20, 1000])
def test_a_shared_probe_is_left_to_collect_all_its_samples(samples, tmp_path):
    probe = Probe(samples)
    callbacks = [Architecture(probe=probe, on_error="raise"), FeatureMaps(probe=probe, on_error="raise")]
    fit(tmp_path, callbacks, data=(DataLoader(Stream(), 8), None))
    assert image_steps(tmp_path)[DIAGRAM] == [1]
    assert len(probe.samples.inputs) == min(samples, 48)


def test_a_resumed_run_draws_it_again_after_its_first_step_however_often_it_resumes(tmp_path):
    keep = pl.callbacks.ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
    fit(tmp_path, [Architecture(), keep], enable_checkpointing=True, default_root_dir=tmp_path, max_epochs=1)
    for _ in range(2):
        again = trainer(tmp_path, [Architecture(on_error="raise")], max_epochs=2)
        again.fit(TinyNet(), *loaders(), ckpt_path=tmp_path / "epoch=0.ckpt")
    assert image_steps(tmp_path) == {DIAGRAM: [0, 7]}
    assert {step for step, _ in tables(tmp_path)} == {0, 7}


@pytest.mark.parametrize("options", [{"precision": "bf16-mixed"}, {"precision": "64-true"}], ids=str)
def test_precision(options, tmp_path):
    fit(tmp_path, [Architecture(on_error="raise")], max_epochs=1, **options)
    ((_, table),) = tables(tmp_path)
    assert list(cells(table)) == NAMES
    size = sum(part.numel() for part in TinyNet().parameters()) * (8 if options["precision"] == "64-true" else 4)
    assert f"{size / 1e6:.2f} MB" in table


def test_a_model_whose_forward_needs_more_than_the_inputs_gets_a_warning(tmp_path):
    class Pair(TinyNet):
        def forward(self, x, y):
            return super().forward(x)

        def training_step(self, batch, batch_idx):
            return self(*batch).sum()

        def validation_step(self, batch, batch_idx):
            pass

    with pytest.warns(
        UserWarning, match="Architecture failed to draw; training continues: ValueError: .* with one required input"
    ):
        run = fit(tmp_path, [Architecture()], model=Pair())
    assert run.global_step == 12
    assert image_steps(tmp_path) == {}


def test_in_a_preset_it_is_drawn_once_and_whole_whatever_the_others_show(tmp_path):
    (callback,) = [
        callback
        for callback in cnnviz_callbacks(every_n_train_steps=1, layers="conv1", on_error="raise")
        if isinstance(callback, Architecture)
    ]
    fit(tmp_path, [callback])
    assert image_steps(tmp_path) == {DIAGRAM: [0]}
    assert list(cells(tables(tmp_path)[0][1])) == NAMES


def test_training_goes_on_with_the_same_random_numbers(tmp_path):
    bare, drawn = (
        fit(tmp_path / name, callbacks, max_epochs=1).lightning_module.state_dict()
        for name, callbacks in (("bare", []), ("drawn", [Architecture(on_error="raise")]))
    )
    assert image_steps(tmp_path / "drawn")
    assert all(torch.equal(bare[name], drawn[name]) for name in bare)
