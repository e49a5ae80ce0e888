"""A classifier of terratorch, built by name from a registry, whose outputs are objects; random pictures each epoch."""

from terratorch.datamodules.random import RandomDataModule
from terratorch.tasks import ClassificationTask

LIGHTNING = "lightning.pytorch"


def build():
    module = ClassificationTask(
        model_factory="EncoderDecoderFactory",
        model_args={
            "backbone": "timm_resnet18",
            "backbone_pretrained": False,
            "decoder": "IdentityDecoder",
            "num_classes": 3,
        },
        loss="ce",
        lr=1e-3,
    )
    data = RandomDataModule(
        "classification", (3, 32, 32), batch_size=8, num_classes=3, train_samples=24, val_samples=24
    )
    return module, data
