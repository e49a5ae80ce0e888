"""LightningModules that healthy runs need beside the usual one."""

from typing import Any

from torch.optim.lr_scheduler import ReduceLROnPlateau

from benchmarks.diagnosis.training import Training


class Plateau(Training):
    """Lowers the learning rate where the validation loss no longer falls."""

    def configure_optimizers(self) -> Any:
        """Returns the optimizer and its scheduler."""
        optimizer = self.parts.optimizer(self.trained(), **self.parts.settings)
        scheduler = ReduceLROnPlateau(optimizer, patience=1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"}}
