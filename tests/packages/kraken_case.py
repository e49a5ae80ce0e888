"""Text recognition of kraken: a network read from a line of text, images of all lengths, a CTC loss."""

import random
from pathlib import Path

import numpy as np
from kraken.configs import VGSLRecognitionTrainingConfig, VGSLRecognitionTrainingDataConfig
from kraken.train import KrakenTrainer, VGSLRecognitionDataModule, VGSLRecognitionModel
from PIL import Image, ImageDraw

LIGHTNING = "lightning.pytorch"
UNSET = ("example_input_array",)


def fit(options):
    folder, choose, lines = Path(options["logger"].save_dir), random.Random(0), []
    for index in range(40):
        text = "".join(choose.choices("abc", k=choose.randint(3, 5)))
        picture = Image.new("L", (20 + 8 * len(text), 24), 255)
        ImageDraw.Draw(picture).text((8, 6), text)
        noise = np.random.default_rng(index).integers(0, 30, (24, picture.width))
        path = folder / f"{index}.png"
        Image.fromarray((np.asarray(picture) - np.minimum(noise, picture)).astype(np.uint8)).save(path)
        path.with_suffix(".gt.txt").write_text(text)
        lines.append(path)
    data = VGSLRecognitionDataModule(
        VGSLRecognitionTrainingDataConfig(
            training_data=lines[:16], evaluation_data=lines[16:], format_type="path", num_workers=0, augment=False
        )
    )
    spec = "[1,24,0,1 Cr3,3,8 Do0.1,2 Mp2,2 Cr3,3,8 Mp2,2 S1(1x0)1,3 Lbx16 Do]"
    module = VGSLRecognitionModel(VGSLRecognitionTrainingConfig(spec=spec, batch_size=4, epochs=2, quit="fixed"))
    logger = options.pop("logger")
    trainer = KrakenTrainer(enable_summary=False, min_epochs=1, pl_logger=logger, **options)
    trainer.fit(module, data)
    return trainer
