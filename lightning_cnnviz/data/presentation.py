"""How the samples of a split are shown: what the user has said, or else what its dataset tells."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils.data import DataLoader

from lightning_cnnviz.data.colours import Colours, Normalization
from lightning_cnnviz.data.datasets import distinct_names, find_class_names, find_normalization


class Presentation(NamedTuple):
    """What the user has said of colours and class names; None where the dataset is to tell.

    Attributes:
        class_names: Names by class index.
        normalization: What the images were normalised by.
        bands: Channels to show.
    """

    class_names: Sequence[str] | None = None
    normalization: Normalization | None = None
    bands: Sequence[int] | None = None

    def colours(self, images: Tensor, loader: DataLoader[Any] | None) -> Colours:
        """Returns the colours of samples of a dataloader.

        Args:
            images: Shape (samples, channels, *size).
            loader: The split's dataloader, if it has one.
        """
        found = find_normalization(None if loader is None else loader.dataset)
        return Colours.of(images, self.normalization or found, self.bands)

    def names(self, classes: int, loader: DataLoader[Any] | None, *owners: Any) -> list[str]:
        """Returns a name for each class that no other class has.

        Args:
            classes: Number of classes.
            loader: The split's dataloader, if it has one.
            *owners: Where to look next, such as the data module and the model.

        Example:
            >>> Presentation(["cat", "dog"]).names(2, None), Presentation().names(2, None)
            (['cat', 'dog'], ['0', '1'])
        """
        names = self.class_names
        if names is None:
            names = find_class_names(None if loader is None else loader.dataset, *owners)
        return distinct_names(names, classes)
