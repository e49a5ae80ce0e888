"""A 3-D U-Net of MONAI, trained as in its tutorial for Lightning: tensors with metadata, cached and cropped."""

import pytorch_lightning as pl
import torch
from monai.data import CacheDataset, DataLoader, decollate_batch, list_data_collate
from monai.inferers import sliding_window_inference
from monai.losses import DiceLoss
from monai.metrics import DiceMetric
from monai.networks.nets import UNet
from monai.transforms import AsDiscrete, Compose, EnsureTyped, RandCropByPosNegLabeld, RandFlipd, ScaleIntensityd

LIGHTNING = "pytorch_lightning"


class Spleen(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self._model = UNet(3, 1, 2, channels=(4, 8, 16), strides=(2, 2), num_res_units=1, norm="batch")
        self.loss_function = DiceLoss(to_onehot_y=True, softmax=True)
        self.post_pred = AsDiscrete(argmax=True, to_onehot=2)
        self.post_label = AsDiscrete(to_onehot=2)
        self.dice_metric = DiceMetric(include_background=False, reduction="mean")
        self.best_val_dice = 0
        self.validation_step_outputs = []

    def forward(self, x):
        return self._model(x)

    def configure_optimizers(self):
        return torch.optim.Adam(self._model.parameters(), 1e-3)

    def training_step(self, batch, batch_idx):
        loss = self.loss_function(self.forward(batch["image"]), batch["label"])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        images, labels = batch["image"], batch["label"]
        outputs = sliding_window_inference(images, (16, 16, 16), 4, self.forward)
        loss = self.loss_function(outputs, labels)
        self.dice_metric(
            y_pred=[self.post_pred(i) for i in decollate_batch(outputs)],
            y=[self.post_label(i) for i in decollate_batch(labels)],
        )
        self.validation_step_outputs.append({"val_loss": loss, "val_number": len(outputs)})

    def on_validation_epoch_end(self):
        losses = sum(output["val_loss"].sum().item() for output in self.validation_step_outputs)
        mean_val_dice = self.dice_metric.aggregate().item()
        self.dice_metric.reset()
        self.best_val_dice = max(self.best_val_dice, mean_val_dice)
        self.log_dict({"val_dice": mean_val_dice, "val_loss": losses / len(self.validation_step_outputs)})
        self.validation_step_outputs.clear()


def volumes(count):
    for index in range(count):
        image = torch.rand(1, 24, 24, 24, generator=torch.Generator().manual_seed(index))
        yield {"image": image, "label": (image > 0.8).float()}


def build():
    keys = ["image", "label"]
    steady = [EnsureTyped(keys), ScaleIntensityd("image")]
    crops = RandCropByPosNegLabeld(keys, label_key="label", spatial_size=(16, 16, 16), num_samples=2)
    train = CacheDataset(list(volumes(8)), Compose([*steady, crops, RandFlipd(keys, prob=0.5)]), progress=False)
    val = CacheDataset(list(volumes(6)), Compose(steady), progress=False)
    for data in (train, val):
        data.transform.set_random_state(0)
    return Spleen(), DataLoader(train, 2, shuffle=True, collate_fn=list_data_collate), DataLoader(val, 1)
