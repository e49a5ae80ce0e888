"""Trainings in one folder are one history in both loaders, and what the user writes stays as it is."""

import time

import pytest
from helpers.providers import LOADERS, chart_titles, image_steps_of, loaded, scalars_of, tab_steps_of
from helpers.tiny import TinyNet, fit, loaders, trainer
from torch.utils.tensorboard import SummaryWriter

from lightning_cnnviz import KernelGrid, LossAccuracy
from lightning_cnnviz.output.run_history import look_back

MINE = {"mine": {"both": ["Multiline", ["train_loss", "val_loss"]]}}
LATE = {"late": {"one": ["Margin", ["a", "b", "c"]]}}
OURS = {"cnnviz": ["curves/loss", "curves/accuracy"]}


class Own(TinyNet):
    """Logs a scalar whose steps are samples rather than optimizer steps."""

    def on_train_epoch_end(self):
        epoch = self.current_epoch
        self.logger.experiment.add_scalar("mine", float(epoch), 48 * (epoch + 1))


def own_scalars(folder):
    return {loader: scalars_of(provider, "run", "mine") for loader, provider in each(folder)}


def each(folder):
    for loader in LOADERS:
        with loaded(folder, loader) as provider:
            yield loader, provider


def train(folder, callbacks, epochs, checkpoint=None):
    while folder.exists() and any(time.time() - path.stat().st_ctime < 1.1 for path in folder.glob("run/*tfevents*")):
        time.sleep(0.1)  # event files are named by the second
    run = trainer(folder, callbacks, max_epochs=epochs)
    run.fit(Own(), *loaders(), ckpt_path=checkpoint)
    return run


def visuals():
    return [KernelGrid(layers="conv1"), LossAccuracy()]


@pytest.fixture(scope="module")
def anew(tmp_path_factory):
    """A training of four epochs and then one of two, in one folder, with ours and without."""
    folders = {}
    for name, callbacks in (("bare", list), ("ours", visuals)):
        folder = folders[name] = tmp_path_factory.mktemp(name)
        for epochs in (4, 2):
            train(folder, callbacks(), epochs)
    return folders


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """A training that was lost after four epochs and goes on from the second, in one folder, with ours and without."""
    folders = {}
    for name, callbacks in (("bare", list), ("ours", visuals)):
        folder = folders[name] = tmp_path_factory.mktemp(name)
        half = train(folder / "elsewhere", callbacks(), 2)
        half.save_checkpoint(folder / "half.ckpt")
        train(folder, callbacks(), 4)
        train(folder, callbacks(), 3, folder / "half.ckpt")
    return folders


@pytest.mark.parametrize(("runs", "after"), [("anew", [6, 12]), ("resumed", [6, 12, 18])])
@pytest.mark.parametrize("loader", LOADERS)
def test_only_the_last_training_is_shown(runs, after, loader, request):
    folder = request.getfixturevalue(runs)["ours"]
    with loaded(folder, loader) as provider:
        assert image_steps_of(provider, "run", "kernels/conv1") == after
        assert tab_steps_of(provider, "run", "cnnviz/kernels/conv1") == after
        assert [step for step, _ in scalars_of(provider, "run", "cnnviz/cost/KernelGrid")] == after


@pytest.mark.parametrize("runs", ["anew", "resumed"])
def test_scalars_of_the_users_are_what_they_are_without(runs, request):
    folders = request.getfixturevalue(runs)
    bare = own_scalars(folders["bare"])
    assert max(map(len, bare.values())) > 4
    assert own_scalars(folders["ours"]) == bare


def test_it_is_said_that_an_earlier_training_is_there(tmp_path, told):
    train(tmp_path, [KernelGrid(layers="conv1")], 1)
    assert "earlier training" not in told()
    train(tmp_path, [KernelGrid(layers="conv1")], 1)
    assert told().count(f"lightning_cnnviz: an earlier training is in {tmp_path}") == 1


class Arranged(TinyNet):
    """Arranges the tab before the callbacks do, later, or both."""

    def __init__(self, before=None, later=None):
        super().__init__()
        self.before, self.later = before, later

    def on_fit_start(self):
        if self.before:
            self.logger.experiment.add_custom_scalars(self.before)

    def on_train_epoch_end(self):
        if self.later and self.current_epoch:
            self.logger.experiment.add_custom_scalars(self.later)


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("before", "later", "theirs"),
    [
        (MINE, None, {"mine": ["both"]}),
        (None, LATE, {"late": ["one"]}),
        (MINE, LATE, {"late": ["one"]}),
        (None, {"cnnviz": {"own": ["Multiline", ["x"]]}}, {"cnnviz": ["own"]}),
    ],
    ids=["before", "later", "both", "same category"],
)
def test_what_the_user_has_arranged_is_there_beside_ours(before, later, theirs, loader, tmp_path):
    fit(tmp_path / "bare", model=Arranged(before, later))
    fit(tmp_path / "ours", [LossAccuracy(), LossAccuracy(tag="others")], model=Arranged(before, later))
    both = [*OURS["cnnviz"], "others/loss", "others/accuracy"]
    for name, titles in {"bare": theirs, "ours": {**theirs, "cnnviz": [*theirs.get("cnnviz", []), *both]}}.items():
        with loaded(tmp_path / name, loader) as provider:
            assert chart_titles(tmp_path / name, provider) == titles


def test_a_margin_chart_of_the_users_keeps_its_series(tmp_path):
    fit(tmp_path, [LossAccuracy()], model=Arranged(LATE))
    trained, layout = look_back(f"{tmp_path}/run/")
    assert trained
    (series,) = layout.category[0].chart[0].margin.series
    assert (series.value, series.lower, series.upper) == ("a", "b", "c")


def test_a_damaged_file_hides_nothing_before_it(tmp_path):
    board = SummaryWriter(tmp_path)
    board.add_custom_scalars(MINE)
    board.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + b"\xff" * 50)
    trained, layout = look_back(str(tmp_path))
    assert not trained
    assert [category.title for category in layout.category] == ["mine"]
