"""GANomaly of anomalib: two optimizers by hand; its engine adds its own callbacks, which are modules with states."""

from pathlib import Path

import numpy as np
from anomalib.data import Folder
from anomalib.engine import Engine
from anomalib.models import Ganomaly
from PIL import Image

LIGHTNING = "lightning.pytorch"


def fit(options):
    root = Path(options["logger"].save_dir, "pictures")
    generator = np.random.default_rng(0)
    for folder, count in (("good", 16), ("bad", 6)):
        (root / folder).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(0, 60, (32, 32, 3), dtype=np.uint8)
            if folder == "bad":
                pixels[8:16, 8:16] = 255
            Image.fromarray(pixels).save(root / folder / f"{index}.png")
    data = Folder(
        "pictures",
        "good",
        root,
        "bad",
        train_batch_size=4,
        eval_batch_size=4,
        num_workers=0,
        val_split_mode="same_as_test",
    )
    module = Ganomaly(batch_size=4, n_features=8, pre_processor=Ganomaly.configure_pre_processor((32, 32)))
    options |= {"enable_checkpointing": True}  # its engine always has them
    callbacks = options.pop("callbacks")
    engine = Engine(callbacks=callbacks, default_root_dir=root / "results", **options)
    engine.fit(module, datamodule=data)
    return engine.trainer
