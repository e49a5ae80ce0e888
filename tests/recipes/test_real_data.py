"""Shortened runs of the recipes on MNIST and FashionMNIST: every view reaches the event file."""

import io
from itertools import islice

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_cnnviz import ActivationMaximization
from lightning_cnnviz.functional.units.gradient_ascent import maximize
from recipes.__main__ import CONFIGS
from recipes.cli import train
from recipes.data import MNIST
from recipes.lenet5 import LeNet5

REPORT = {"class_report/confusion", "class_report/mistakes", "class_report/samples"}
LENET5 = {
    "architecture/diagram",
    *REPORT,
    "kernels/conv1",
    "kernels/conv2",
    "feature_maps/pool1",
    "feature_maps/pool2",
    "feature_maps/overview",
    "gradient_flow/bars",
    "gradient_flow/heatmap",
    "curves/loss",
    "curves/accuracy",
    "projection/relu4/tsne",
    "activating_patches/conv1",
    "activating_patches/conv2",
    "activation_maximization/fc3",
}
LENET5_CLASSIC = {
    "architecture/diagram",
    *REPORT,
    *(f"kernels/{name}" for name in ("c1", "c3", "c5")),
    *(f"feature_maps/{name}" for name in ("c1", "s2", "c3", "s4", "overview")),
    "gradient_flow/bars",
    "gradient_flow/heatmap",
    "curves/loss",
    "curves/accuracy",
    "projection/tanh6/tsne",
    "activation_maximization/rbf",
}
FASHION = {
    "activations/heatmap",
    "architecture/diagram",
    *REPORT,
    "filter_response/conv1",
    "filter_response/conv2",
    "kernels/conv1",
    "kernels/conv2",
    "feature_maps/conv1",
    "feature_maps/conv2",
    "feature_maps/overview",
    "gradient_flow/bars",
    "gradient_flow/heatmap",
    "curves/loss",
    "curves/accuracy",
    "projection/relu3/tsne",
}
SHOWN = [(layer, method) for layer in ("pool1", "relu2", "pool2", "relu4", "fc2") for method in ("pca", "tsne")]
MNIST_CNN = {
    "architecture/diagram",
    *REPORT,
    *(f"kernels/conv{number}" for number in (1, 2, 3)),
    *(f"feature_maps/{name}" for name in ("conv1", "conv2", "conv3", "overview")),
    "gradient_flow/bars",
    "gradient_flow/heatmap",
    "curves/loss",
    "curves/accuracy",
    *(f"projection/{layer}/{method}" for layer, method in SHOWN),
    "projection/overview",
}
CONVOLUTIONS = [
    f"conv{block}_{n}" for block, count in enumerate((2, 2, 3, 3, 3), start=1) for n in range(1, count + 1)
]
VGG16 = {
    "architecture/diagram",
    *REPORT,
    *(f"kernels/conv{block}_1" for block in range(1, 6)),
    *(f"feature_maps/{name}" for name in (*CONVOLUTIONS, "overview")),
    "gradient_flow/bars",
    "gradient_flow/heatmap",
    "curves/loss",
    "curves/accuracy",
    "projection/relu7/tsne",
}
FEW = [f"--trainer.limit_{part}_batches={count}" for part, count in (("train", 200), ("val", 20), ("test", 20))]


def callbacks_of(config):
    return {callback["class_path"]: callback.get("init_args", {}) for callback in config["trainer"]["callbacks"]}


def drawing_every_epoch(recipe, folder):
    config = yaml.safe_load((CONFIGS / f"{recipe}.yaml").read_text())
    for options in callbacks_of(config).values():
        options.pop("every_n_epochs", None)
    path = folder / "every_epoch.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize(
    ("recipe", "overrides", "tags", "accuracy"),
    [
        ("lenet5", [*FEW, "--trainer.max_epochs=2", "--model.optimizer.lr=0.1"], LENET5, 0.88),
        ("lenet5_classic", [*FEW, "--trainer.max_epochs=1"], LENET5_CLASSIC, 0.7),
        ("fashion_cnn", [*FEW, "--trainer.max_epochs=1", "--data.batch_size=40"], FASHION, 0.6),
        (
            "vgg16",
            [
                "--trainer.max_epochs=1",
                "--trainer.limit_train_batches=2",
                "--trainer.limit_val_batches=1",
                "--trainer.limit_test_batches=1",
                "--data.batch_size=16",
                "--trainer.callbacks.num_samples=50",
            ],
            VGG16,
            0.0,
        ),
    ],
)
def test_a_shortened_run_draws_every_view(recipe, overrides, tags, accuracy, data_root, tmp_path):
    metrics, reader = shortened(recipe, overrides, data_root, tmp_path)
    assert metrics["test_acc"] >= accuracy
    check_views(reader, tags)


def test_classes_separate_with_depth_and_tsne_shows_it_where_pca_does_not(data_root, tmp_path):
    overrides = [
        *FEW,
        "--trainer.max_epochs=1",
        "--model.optimizer.lr=0.0005",
        "--trainer.callbacks.num_samples=400",
    ]
    metrics, reader = shortened("mnist_cnn", overrides, data_root, tmp_path)
    assert metrics["test_acc"] > 0.85
    check_views(reader, MNIST_CNN)
    knn, silhouette = (
        {place: reader.Scalars(f"projection/{'/'.join(place)}/{quantity}")[-1].value for place in SHOWN}
        for quantity in ("knn_accuracy", "silhouette")
    )
    for numbers in (knn, silhouette):
        for method in ("pca", "tsne"):
            assert numbers["fc2", method] > numbers["pool1", method] + 0.03
        for layer, _ in SHOWN:
            assert numbers[layer, "tsne"] > numbers[layer, "pca"] + 0.05


def shortened(recipe, overrides, data_root, tmp_path):
    """Final metrics of a run, and what TensorBoard finds of it."""
    arguments = [
        f"--data.root={data_root}",
        f"--trainer.logger.save_dir={tmp_path}",
        "--trainer.enable_progress_bar=false",
    ]
    metrics = train(drawing_every_epoch(recipe, tmp_path), [*arguments, *overrides], prog="test")
    (folder,) = (tmp_path / recipe).iterdir()
    return metrics, EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()


def check_views(reader, tags):
    """Every view is there, at the same steps, and can be opened."""
    assert {tag for tag in reader.Tags()["images"] if not tag.endswith("/film")} == tags
    steps = {tag: [image.step for image in reader.Images(tag)] for tag in tags}
    expected = steps["curves/loss"]
    assert expected == sorted(set(expected))
    assert expected[0] > 0
    assert steps.pop("architecture/diagram") == [0]
    for tag, found in steps.items():  # of layouts only the newest waits while one is computed
        left_out = tag.startswith("projection/") and set(found) <= set(expected)
        assert found[-1] == expected[-1]
        assert left_out or found == expected, tag
    for tag in tags:
        image = reader.Images(tag)[-1]
        picture = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
        assert picture.shape[:2] == (image.height, image.width)
    scalars = set(reader.Tags()["scalars"])
    accuracies = {tag for tag in scalars if tag.startswith("class_report/accuracy/")}
    assert accuracies
    assert {f"curves/{quantity}/{stage}" for quantity in ("loss", "accuracy") for stage in ("train", "val")} <= scalars
    assert "architecture/table/text_summary" in reader.Tags()["tensors"]
    assert {f"cnnviz/cost/{name}" for name in ("KernelGrid", "ClassReport", "GradientFlow", "LossAccuracy")} <= scalars


def test_images_found_for_the_digits_excite_more_than_a_thousand_training_images(data_root):
    pl.seed_everything(42)
    net, data = LeNet5(lambda parameters: torch.optim.SGD(parameters, lr=0.1)), MNIST(str(data_root), batch_size=100)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    pl.Trainer(max_steps=300, limit_val_batches=0, **quiet).fit(net, data)
    options = callbacks_of(yaml.safe_load((CONFIGS / "lenet5.yaml").read_text()))
    callback = ActivationMaximization(**options["lightning_cnnviz.ActivationMaximization"])
    images = torch.cat([images for images, _ in islice(data.train_dataloader(), 10)])
    with torch.no_grad():
        best = net(images).amax(dim=0)
    found = maximize(net, "fc3", images[:100], ascent=callback.ascent)
    assert len(images) == 1000
    assert found.status == ["ok"] * 10
    assert (found.values > best).all()
    assert net(found.images).argmax(dim=1).tolist() == list(range(10))
