"""Shortened runs of the recipes on MNIST and FashionMNIST: every view reaches the event file."""

import io

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recipes.__main__ import CONFIGS
from recipes.cli import train

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
}
FASHION = {
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


@pytest.mark.parametrize(
    ("recipe", "overrides", "tags", "accuracy"),
    [
        ("lenet5", ["--trainer.max_epochs=2", "--model.optimizer.lr=0.1"], LENET5, 0.96),
        ("fashion_cnn", ["--trainer.max_epochs=1", "--trainer.limit_train_batches=1000"], FASHION, 0.7),
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
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=300",
        "--trainer.limit_val_batches=10",
        "--trainer.callbacks.num_samples=500",
    ]
    metrics, reader = shortened("mnist_cnn", overrides, data_root, tmp_path)
    assert metrics["test_acc"] > 0.9
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
    every_epoch = "--trainer.callbacks.every_n_epochs=1"
    arguments = [
        f"--data.root={data_root}",
        f"--trainer.logger.save_dir={tmp_path}",
        "--trainer.enable_progress_bar=false",
    ]
    metrics = train(CONFIGS / f"{recipe}.yaml", [*arguments, *overrides, every_epoch], prog="test")
    (folder,) = (tmp_path / recipe).iterdir()
    return metrics, EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()


def check_views(reader, tags):
    """Every view is there, at the same steps, and can be opened."""
    assert set(reader.Tags()["images"]) == tags
    steps = {tag: [image.step for image in reader.Images(tag)] for tag in tags}
    expected = steps["curves/loss"]
    assert expected == sorted(set(expected))
    assert expected[0] > 0
    assert steps.pop("architecture/diagram") == [0]
    assert all(found == expected for found in steps.values()), steps
    for tag in tags:
        image = reader.Images(tag)[-1]
        picture = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
        assert picture.shape[:2] == (image.height, image.width)
    scalars = set(reader.Tags()["scalars"])
    accuracies = {tag for tag in scalars if tag.startswith("class_report/accuracy/")}
    assert accuracies
    assert {f"curves/{quantity}/{stage}" for quantity in ("loss", "accuracy") for stage in ("train", "val")} <= scalars
    assert "architecture/table/text_summary" in reader.Tags()["tensors"]
    assert {f"cnnviz/cost/{name}" for name in ("KernelGrid", "ClassReport", "GradientFlow", "LossAccuracy")} <= scalars
