"""Colours and names are the user's, or else the dataset's, or else those of the data module and the model."""

from types import SimpleNamespace

import torch
from torch.utils.data import DataLoader
from torchvision.transforms import Normalize

from lightning_cnnviz.data.colours import Normalization
from lightning_cnnviz.data.presentation import Presentation


class Data(list):
    classes = ("cat", "dog")
    transform = Normalize(0.5, 0.25)


LOADER = DataLoader(Data([0, 1]))
IMAGES = (torch.rand(4, 1, 6, 6) - 0.5) / 0.25


def test_what_the_user_says_comes_first():
    said = Presentation(["a", "b"], Normalization((0.0,), (1.0,)), [0])
    assert said.names(2, LOADER) == ["a", "b"]
    assert said.colours(IMAGES, LOADER).bands == (0,)
    assert said.colours(IMAGES, LOADER).normalization != Normalization((0.5,), (0.25,))


def test_then_the_dataset_tells_and_then_the_others():
    assert Presentation().names(2, LOADER, SimpleNamespace(classes=["x", "y"])) == ["cat", "dog"]
    assert Presentation().names(2, None, None, SimpleNamespace(classes=["x", "y"])) == ["x", "y"]
    assert Presentation().names(3, LOADER) == ["0", "1", "2"]
    assert Presentation().colours(IMAGES, LOADER).normalization == Normalization((0.5,), (0.25,))
    assert "one colour scale" in Presentation().colours(IMAGES, None).note
