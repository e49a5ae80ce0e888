"""Noise2Void of careamics, which learns from masked pixels: its data module makes patches, batches hold regions."""

import numpy as np
from careamics.config.factories import create_n2v_config
from careamics.lightning import CareamicsDataModule, N2VModule

LIGHTNING = "lightning.pytorch"


def build():
    generator = np.random.default_rng(0)
    train, val = (generator.normal(10, 2, (size, 96)).astype(np.float32) for size in (96, 64))
    config = create_n2v_config("noise", "array", "YX", patch_size=(32, 32), batch_size=4, num_epochs=2)
    module = N2VModule(config.algorithm_config)
    return module, CareamicsDataModule(config.data_config, train_data=train, val_data=val)
