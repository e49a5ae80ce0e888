"""A temporal convolutional network of darts, which makes its own module, data and Trainer: batches are tuples."""

import numpy as np
from darts import TimeSeries
from darts.models import TCNModel

LIGHTNING = "pytorch_lightning"


def fit(options):
    noise = np.random.default_rng(0).normal(0, 0.1, 200)
    series = TimeSeries.from_values((np.sin(np.arange(200) / 5) + noise).astype(np.float32))
    train, val = series[:120], series[120:]
    epochs = options.pop("max_epochs")
    model = TCNModel(
        input_chunk_length=24,
        output_chunk_length=8,
        num_filters=4,
        dropout=0.1,
        batch_size=32,
        n_epochs=epochs,
        random_state=0,
        pl_trainer_kwargs=options,
    )
    model.fit(train, val_series=val)
    return model.trainer
