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
CONVOLUTIONS = [
    f"conv{block}_{n}" for block, count in enumerate((2, 2, 3, 3, 3), start=1) for n in range(1, count + 1)
]
VGG16 = {
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
    every_epoch = "--trainer.callbacks.every_n_epochs=1"
    arguments = [
        f"--data.root={data_root}",
        f"--trainer.logger.save_dir={tmp_path}",
        "--trainer.enable_progress_bar=false",
    ]
    metrics = train(CONFIGS / f"{recipe}.yaml", [*arguments, *overrides, every_epoch], prog="test")
    assert metrics["test_acc"] >= accuracy
    (folder,) = (tmp_path / recipe).iterdir()
    reader = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()
    assert set(reader.Tags()["images"]) == tags
    steps = {tag: [image.step for image in reader.Images(tag)] for tag in tags}
    expected = steps["curves/loss"]
    assert expected == sorted(set(expected))
    assert expected[0] > 0
    assert all(found == expected for found in steps.values()), steps
    for tag in tags:
        image = reader.Images(tag)[-1]
        picture = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
        assert picture.shape[:2] == (image.height, image.width)
    scalars = set(reader.Tags()["scalars"])
    accuracies = {tag for tag in scalars if tag.startswith("class_report/accuracy/")}
    assert len(accuracies) == 10 or recipe == "vgg16"  # of which one batch of validation need not have every class
    assert {f"curves/{quantity}/{stage}" for quantity in ("loss", "accuracy") for stage in ("train", "val")} <= scalars
    assert {f"cnnviz/cost/{name}" for name in ("KernelGrid", "ClassReport", "GradientFlow", "LossAccuracy")} <= scalars
