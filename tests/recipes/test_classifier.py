import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from recipes.data import Digits, FashionMNIST
from recipes.lenet5 import LeNet5


@pytest.fixture
def trainer(tmp_path):
    return Trainer(
        max_epochs=1,
        limit_train_batches=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )


def expected(net, batches):
    """Test metrics by their definitions, in double precision."""
    net.eval()
    with torch.no_grad():
        logits = np.concatenate([net(images).double().numpy() for images, _ in batches])
    targets = np.concatenate([targets.numpy() for _, targets in batches])
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(targets)), targets]
    hits = logits.argmax(1) == targets
    return losses.mean(), hits.mean(), [hits[targets == target].mean() for target in range(10)]


def test_metrics_are_means_over_images_in_spite_of_a_smaller_last_batch(trainer):
    net, data = LeNet5(), Digits(batch_size=50)  # 360 = 7 × 50 + 10
    trainer.fit(net, data)
    assert {"train_loss", "train_acc", "val_loss", "val_acc"} <= set(trainer.callback_metrics)
    val_loss, val_acc, _ = expected(net, data.val_dataloader())
    assert trainer.callback_metrics["val_loss"].item() == pytest.approx(val_loss, rel=1e-5)
    assert trainer.callback_metrics["val_acc"].item() == pytest.approx(val_acc, rel=1e-6)

    (found,) = trainer.test(net, data, verbose=False)
    loss, accuracy, per_class = expected(net, data.test_dataloader())
    assert found["test_loss"] == pytest.approx(loss, rel=1e-5)
    assert found["test_acc"] == pytest.approx(accuracy, rel=1e-6)
    assert [found[f"test_acc/{digit}"] for digit in range(10)] == pytest.approx(per_class, rel=1e-6)
    assert len(set(per_class)) > 1  # else a mix-up of classes would pass


def test_classes_go_by_their_names_where_known_and_by_number_elsewhere(trainer):
    class Clothes(Digits):
        class_names = FashionMNIST.class_names

    net, data = LeNet5(), Clothes()
    data.setup("test")
    (numbered,) = trainer.test(net, data.test_dataloader(), verbose=False)
    (named,) = trainer.test(net, data, verbose=False)
    assert {"test_acc/T-shirt/top", "test_acc/Ankle boot"} <= set(named)
    assert [numbered[f"test_acc/{i}"] for i in range(10)] == [named[f"test_acc/{n}"] for n in Clothes.class_names]


def test_training_lowers_the_loss_on_its_own_batch():
    torch.manual_seed(0)
    net = LeNet5(lambda parameters: torch.optim.SGD(parameters, lr=0.1))
    data = Digits()
    data.setup("fit")
    images, targets = next(iter(data.train_dataloader()))
    optimizer, loss = net.configure_optimizers(), torch.nn.CrossEntropyLoss()
    before = loss(net(images), targets).item()
    for _ in range(5):
        optimizer.zero_grad()
        loss(net(images), targets).backward()
        optimizer.step()
    assert loss(net(images), targets).item() < before
