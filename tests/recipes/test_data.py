import urllib.request
from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from recipes.data import MNIST, Digits, FashionMNIST
from recipes.errors import RecipeError

SPLITS = ("train", "val", "test")


def splits(data):
    data.prepare_data()
    data.setup("fit")
    return {split: getattr(data, f"{split}_dataloader")().dataset for split in SPLITS}


def tensors(dataset):
    return torch.stack([image for image, _ in dataset]), torch.stack([target for _, target in dataset])


def as_counter(images, targets):
    return Counter((np.asarray(i, np.float32).tobytes(), int(t)) for i, t in zip(images, targets, strict=True))


def read_idx(path):
    """The idx format by its own description: two zero bytes, type, dimensions, big-endian sizes, data."""
    raw = path.read_bytes()
    shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def test_digits_splits_hold_each_image_once_enlarged_and_bordered():
    digits = load_digits()
    enlarged = [np.pad(np.kron(image / 16, np.ones((3, 3))), 2) for image in digits.images]
    found = splits(Digits())
    assert [len(found[split]) for split in SPLITS] == [1150, 287, 360]
    assert tensors(found["train"])[0].shape == (1150, 1, 28, 28)
    together = sum((as_counter(*tensors(dataset)) for dataset in found.values()), Counter())
    assert together == as_counter(enlarged, digits.target)


def test_digits_splits_are_stratified():
    share = np.bincount(load_digits().target) / 1797
    for dataset in splits(Digits()).values():
        counts = np.bincount(dataset.targets, minlength=10)
        assert np.abs(counts - share * len(dataset)).max() <= 1.5


def test_splits_are_the_same_each_time_and_the_seed_changes_only_what_is_held_out():
    once, again, other = (splits(Digits(seed=seed)) for seed in (1, 1, 2))
    for split in SPLITS:
        for first, second in zip(tensors(once[split]), tensors(again[split]), strict=True):
            assert torch.equal(first, second)
    assert torch.equal(tensors(once["test"])[0], tensors(other["test"])[0])
    assert not torch.equal(tensors(once["val"])[0], tensors(other["val"])[0])


def test_border_is_black_before_normalisation():
    plain, bordered = (splits(Digits(image_size=s, mean=0.5, std=0.5))["test"][0][0] for s in (28, 33))
    assert bordered.shape == (1, 33, 33)
    assert torch.equal(bordered[:, 2:30, 2:30], plain)
    frame = bordered.clone()
    frame[:, 2:30, 2:30] = -1
    assert torch.equal(frame, torch.full_like(frame, -1))
    assert plain.max() == 1


def test_batches():
    data = Digits(batch_size=100)
    data.setup("fit")
    sizes = [len(targets) for _, targets in data.test_dataloader()]
    assert sizes == [100, 100, 100, 60]
    torch.manual_seed(0)
    first, second = (next(iter(data.train_dataloader()))[1] for _ in range(2))
    assert not torch.equal(first, second)  # shuffled anew
    ordered = torch.cat([targets for _, targets in data.val_dataloader()])
    assert torch.equal(ordered, data.val_dataloader().dataset.targets)


@pytest.mark.parametrize(
    ("settings", "message"), [({"image_size": 27}, "at least 28"), ({"val_size": 0}, "val_size=0")]
)
def test_settings_that_do_not_fit_are_named(settings, message):
    with pytest.raises(RecipeError, match=message):
        Digits(**settings).setup("fit")


@pytest.mark.parametrize("source", [MNIST, FashionMNIST])
def test_official_files_are_read_whole(source, data_root):
    found = splits(source(root=str(data_root)))
    assert [len(found[split]) for split in SPLITS] == [55_000, 5_000, 10_000]
    raw = data_root / source.__name__ / "raw"
    assert np.array_equal(found["test"].targets, read_idx(raw / "t10k-labels-idx1-ubyte"))
    pixels = read_idx(raw / "t10k-images-idx3-ubyte") / np.float32(255)
    assert np.array_equal(found["test"].tensors[0][:, 0], pixels)
    labels = np.concatenate([found["train"].targets, found["val"].targets])
    assert np.array_equal(np.bincount(labels), np.bincount(read_idx(raw / "train-labels-idx1-ubyte")))
    total = found["train"].tensors[0].double().sum() + found["val"].tensors[0].double().sum()
    assert total.item() * 255 == pytest.approx(read_idx(raw / "train-images-idx3-ubyte").sum(dtype=np.int64), rel=1e-7)
    assert found["train"].classes == source.class_names
    assert len(set(source.class_names)) == 10


def test_the_environment_says_where_the_data_are(data_root, monkeypatch):
    monkeypatch.setenv("CNNVIZ_DATA", str(data_root))
    assert len(splits(MNIST(val_size=100))["val"]) == 100


@pytest.fixture
def no_network(monkeypatch):
    for protocol in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(protocol, "http://127.0.0.1:9")  # nothing listens there
    urllib.request.install_opener(None)  # the one in use keeps the proxies that were set as it was made
    yield
    urllib.request.install_opener(None)


@pytest.mark.usefixtures("no_network")
def test_data_that_cannot_be_had_are_named_with_the_place_and_the_remedy(tmp_path):
    with pytest.raises(RecipeError) as raised:
        FashionMNIST(root=str(tmp_path)).prepare_data()
    message = str(raised.value)
    for part in ("FashionMNIST", str(tmp_path / "FashionMNIST" / "raw"), "CNNVIZ_DATA", "--data.root"):
        assert part in message
    assert "\n" not in message
