"""NHITS of neuralforecast, which makes its own data module and Trainer: batches are dicts of windows to be drawn."""

import numpy as np
import pandas as pd
from neuralforecast import NeuralForecast
from neuralforecast.models import NHITS
from pytorch_lightning.callbacks import LambdaCallback

LIGHTNING = "pytorch_lightning"


def fit(options):
    generator, frames = np.random.default_rng(0), []
    for name in ("north", "south"):
        days = pd.date_range("2024-01-01", periods=150)
        values = np.sin(np.arange(150) / 5) + generator.normal(0, 0.1, 150)
        frames.append(pd.DataFrame({"unique_id": name, "ds": days, "y": values}))
    trainers = []  # it keeps none
    keeping = LambdaCallback(on_fit_start=lambda trainer, _: trainers.append(trainer))
    options["callbacks"] = [*options["callbacks"], keeping]
    del options["max_epochs"]
    model = NHITS(h=8, input_size=16, max_steps=8, val_check_steps=4, batch_size=2, windows_batch_size=16, **options)
    NeuralForecast([model], freq="D").fit(pd.concat(frames), val_size=24)
    return trainers[0]
