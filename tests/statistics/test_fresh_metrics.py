import pytorch_lightning as pl
import torch
from helpers.tiny import TinyNet, fit

from lightning_cnnviz.statistics.fresh_metrics import FreshMetrics


class Watch(pl.Callback):
    """What each epoch and each validation has logged, as `FreshMetrics` tells it."""

    def __init__(self):
        self.fresh, self.seen = FreshMetrics(), []

    def on_train_epoch_start(self, trainer, *_):
        self.note("epoch", trainer)

    def on_validation_start(self, trainer, *_):
        self.fresh.mark(trainer.callback_metrics)

    def on_validation_end(self, trainer, *_):
        if not trainer.sanity_checking:
            self.note("validation", trainer)

    def on_train_end(self, trainer, *_):
        self.note("epoch", trainer)

    def note(self, what, trainer):
        values = self.fresh.since_mark(trainer.callback_metrics)
        self.seen.append((what, {name: float(value) for name, value in values.items()}))
        self.fresh.mark(trainer.callback_metrics)


class Logs(TinyNet):
    """Logs `acc` in both stages, `rare` in every second validation, `end` as an epoch ends."""

    def training_step(self, batch, batch_idx):
        self.log("acc", 10.0 + self.current_epoch, on_epoch=True, on_step=False)
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        self.log("acc", 20.0 + self.current_epoch)
        if self.current_epoch % 2:
            self.log("rare", torch.tensor(float(self.current_epoch)))

    def on_train_epoch_end(self):
        self.log("end", 30.0 + self.current_epoch)


def test_metrics_belong_to_the_epoch_and_to_the_stage_that_logged_them(tmp_path):
    watch = Watch()
    fit(tmp_path, [watch], model=Logs, max_epochs=4)
    own = [
        (what, {name: value for name, value in values.items() if name in ("acc", "rare", "end")})
        for what, values in watch.seen
    ]
    expected = [("epoch", {})]
    for epoch in range(4):
        expected.append(("validation", {"acc": 20.0 + epoch} | ({"rare": float(epoch)} if epoch % 2 else {})))
        expected.append(("epoch", {"acc": 10.0 + epoch, "end": 30.0 + epoch}))
    assert own == expected
