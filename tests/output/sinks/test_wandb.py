"""What Weights & Biases gets, read from the file of an offline run."""

import pytest
from helpers.loggers import (
    finish,
    fit_beside_tensorboard,
    make,
    metrics_of_wandb,
    of_tensorboard,
    of_wandb,
    rows_of_wandb,
    same_numbers,
)
from helpers.tiny import TinyNet, events, fit
from pytorch_lightning.loggers import WandbLogger
from torch.nn import functional as F

from lightning_cnnviz import KernelGrid, cnnviz_callbacks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of a run with TensorBoard's logger and this one."""
    folder = tmp_path_factory.mktemp("several")
    fit_beside_tensorboard("wandb", folder)
    return folder


def test_weights_and_biases_has_pictures_and_numbers(folder):
    pictures, numbers = of_tensorboard(folder)
    found, values = of_wandb(folder)
    assert found == pictures
    same_numbers(values, numbers)
    (table,) = events(folder).Tensors("architecture/table/text_summary")
    (html,) = folder.glob("wandb/offline-run-*/files/media/html/architecture/table*.html")
    assert table.tensor_proto.string_val[0].decode() in html.read_text()


def test_weights_and_biases_has_the_bins_of_histograms(folder):
    found = {
        (key, row["cnnviz/step/pictures/activations"]): value
        for _, row in rows_of_wandb(folder)
        for key, value in row.items()
        if isinstance(value, dict) and value.get("_type") == "histogram"
    }
    tags = events(folder).Tags()["histograms"]
    expected = {(tag, event.step): event.histogram_value for tag in tags for event in events(folder).Histograms(tag)}
    assert found.keys() == expected.keys()
    assert len({tag for tag, _ in found}) == 6
    for key, histogram in expected.items():
        assert found[key]["values"] == pytest.approx(histogram.bucket)
        assert found[key]["bins"] == pytest.approx([histogram.min, *histogram.bucket_limit])


def test_steps_of_weights_and_biases_never_go_back_though_pictures_come_late(folder):
    steps = [step for step, _ in rows_of_wandb(folder)]
    assert steps == sorted(set(steps))


def test_each_tag_has_the_step_beside_it_as_its_axis(folder):
    axes = {}
    for metric in metrics_of_wandb(folder):
        assert metric.name not in axes or axes[metric.name] == metric.step_metric
        axes[metric.name] = metric.step_metric
    tags = {tag for part in of_wandb(folder) for tag, _ in part}
    assert len(tags) >= 20
    for tag in tags:
        assert axes[tag].endswith(f"/{tag.partition('/')[0]}")
        assert all(axes[tag] in row for _, row in rows_of_wandb(folder) if tag in row)


class OwnSteps(TinyNet):
    """Logs its epoch under a step of its own."""

    def __init__(self, step_of):
        super().__init__()
        self.step_of = step_of

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self(batch[0])

    def on_train_epoch_end(self):
        self.logger.experiment.log({"mine": float(self.current_epoch)}, step=self.step_of(self.trainer))


@pytest.mark.parametrize(
    "step_of", [lambda run: run.global_step, lambda run: run.current_epoch], ids=["step", "epoch"]
)
@pytest.mark.parametrize("callbacks", [[], ["ours"]], ids=["bare", "with ours"])
def test_what_the_user_logs_with_steps_of_their_own_is_not_dropped(callbacks, step_of, tmp_path):
    visuals = cnnviz_callbacks(num_samples=20) if callbacks else []
    fit(tmp_path, visuals, model=OwnSteps(step_of), logger=make("wandb", tmp_path), max_epochs=5)
    finish()
    rows = list(rows_of_wandb(tmp_path))
    assert [row["mine"] for _, row in rows if "mine" in row] == [0.0, 1.0, 2.0, 3.0, 4.0]
    if callbacks:
        pictures, numbers = of_wandb(tmp_path)
        assert [step for tag, step in pictures if tag == "kernels/conv1"] == [6, 12, 18, 24, 30]
        assert [step for tag, step in numbers if tag == "gradient_flow/conv1/norm"] == [6, 12, 18, 24, 30]


def test_a_prefix_of_the_logger_is_before_every_tag(tmp_path):
    make("wandb", tmp_path)
    fit(tmp_path, [KernelGrid(layers="conv1")], logger=WandbLogger(save_dir=tmp_path, offline=True, prefix="a"))
    finish()
    (keys,) = {
        tuple(sorted(set(row) & {"a-kernels/conv1", "kernels/conv1"})) for _, row in rows_of_wandb(tmp_path)
    } - {()}
    assert keys == ("a-kernels/conv1",)


def test_of_weights_and_biases_no_temporary_picture_is_left(folder):
    (run,) = folder.glob("wandb/offline-run-*")
    assert len(list(run.rglob("*.png"))) == len(of_tensorboard(folder)[0])
    assert not list(run.glob("*.png"))


@pytest.fixture
def switched_off(monkeypatch):
    """Weights & Biases keeps the mode that it was first used with, so it begins anew before and after."""
    wandb = pytest.importorskip("wandb")
    with monkeypatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        wandb.teardown()
        yield
        wandb.finish()
    wandb.teardown()


@pytest.mark.usefixtures("switched_off")
def test_weights_and_biases_may_be_switched_off(tmp_path, recwarn):
    visual = KernelGrid()
    run = fit(tmp_path, [visual], logger=WandbLogger(save_dir=tmp_path))
    assert (run.global_step, visual.account.pictures) == (12, 0)
    assert not [warning for warning in recwarn if "failed to draw" in str(warning.message)]
