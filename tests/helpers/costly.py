"""A callback that costs much, and one that leaves the others time to write."""

import time

from pytorch_lightning import Callback

from lightning_cnnviz import KernelGrid


class Slow(KernelGrid):
    """Takes its time on the training thread."""

    def drawings(self, trainer, module):
        time.sleep(0.2)
        return super().drawings(trainer, module)


class Pause(Callback):
    """Trains slowly enough for the pictures of a step to be written before the next."""

    def on_train_batch_end(self, *_):
        time.sleep(0.05)
