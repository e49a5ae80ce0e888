"""A temporal fusion transformer of pytorch-forecasting: a dict of inputs, targets with weights, own pictures."""

import numpy as np
import pandas as pd
from pytorch_forecasting import TemporalFusionTransformer, TimeSeriesDataSet
from pytorch_forecasting.metrics import QuantileLoss

LIGHTNING = "lightning.pytorch"


def build():
    generator, frames = np.random.default_rng(0), []
    for shop in ("north", "south"):
        sales = 5 + np.sin(np.arange(60) / 3) + generator.normal(0, 0.1, 60)
        frames.append(pd.DataFrame({"day": np.arange(60), "shop": shop, "sales": sales}))
    data = TimeSeriesDataSet(
        pd.concat(frames, ignore_index=True),
        time_idx="day",
        target="sales",
        group_ids=["shop"],
        max_encoder_length=12,
        max_prediction_length=4,
        static_categoricals=["shop"],
        time_varying_unknown_reals=["sales"],
        time_varying_known_reals=["day"],
    )
    module = TemporalFusionTransformer.from_dataset(
        data, hidden_size=8, attention_head_size=2, hidden_continuous_size=4, loss=QuantileLoss(), log_interval=2
    )
    train = data.to_dataloader(train=True, batch_size=32)
    return module, train, data.to_dataloader(train=False, batch_size=32)
