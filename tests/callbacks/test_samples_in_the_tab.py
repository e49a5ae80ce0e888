"""Every record of samples in the tab has the right images and classes, also where no validation has chosen any."""

import numpy as np
import pytest
import torch
from helpers.tab_records import records
from helpers.tiny import TinyData, fit, loaders
from torch.utils.data import DataLoader

from lightning_cnnviz import EmbeddingProjection, FeatureMaps, FilterResponse, Probe, Saliency

ENDS = {
    "no validation": {"limit_val_batches": 0},
    "steps": {"max_steps": 4, "max_epochs": -1},
    "steps, without a sanity check": {"max_steps": 4, "max_epochs": -1, "num_sanity_val_steps": 0},
    "validation in later epochs": {"check_val_every_n_epoch": 5},
    "drawn by steps": {"max_steps": 4, "max_epochs": -1, "every_n_train_steps": 2},
}
OWN = ("feature_maps/conv1", "saliency/grad_cam/conv2", "filter_response/conv1", "gradient_maps/conv1")


def looks(thumbnails):
    """The class of each thumbnail, by which half of it is bright."""
    grey = thumbnails.astype(float).mean(axis=3)
    high, wide = (size // 2 for size in grey.shape[1:])
    halves = [grey[:, :, :wide], grey[:, :, wide:], grey[:, :high], grey[:, high:]]
    return np.stack([half.mean(axis=(1, 2)) for half in halves]).argmax(axis=0)


def assert_right(arrays, names):
    np.testing.assert_array_equal(looks(arrays["thumbnails"]), arrays["targets"])
    assert tuple(names) == TinyData.classes


@pytest.mark.parametrize("end", ENDS)
def test_a_run_that_ends_before_any_validation_shows_its_samples(end, tmp_path):
    options = dict(ENDS[end])
    steps = {"every_n_train_steps": options.pop("every_n_train_steps", None), "on_error": "raise"}
    kinds = (FeatureMaps, Saliency, FilterResponse)
    callbacks = [kind(**steps) for kind in kinds]
    callbacks += [EmbeddingProjection(layers="act", method="pca", **steps)]
    fit(tmp_path, callbacks, **options)
    for tag in OWN:
        assert records(tmp_path, tag)
        for _, info, arrays in records(tmp_path, tag):
            if "thumbnails" in arrays:
                assert_right(arrays, info["class_names"])
            else:
                assert end == "no validation", "where the first samples are those of the whole run"
            assert min(info["samples"]) == 0
    ((_, info, samples),) = records(tmp_path, "samples")
    assert_right(samples, info["classes"])
    last_step, _, arrays = records(tmp_path, "projection/act/pca")[-1]
    assert last_step == (4 if "max_steps" in options else 12)
    points = arrays["points"]
    assert len(points) == len(samples["targets"])


def test_samples_that_the_first_validation_replaces_are_not_taken_for_its_own(tmp_path):
    probe = Probe(20)
    callbacks = [
        EmbeddingProjection(layers="act", method="pca", probe=probe, every_n_train_steps=2, on_error="raise"),
        FeatureMaps(layers="conv1", probe=probe, every_n_train_steps=2, on_error="raise"),
    ]
    fit(tmp_path, callbacks, max_epochs=1)
    assert [step for step, *_ in records(tmp_path, "projection/act/pca")] == []
    assert records(tmp_path, "samples") == []
    for _, info, arrays in records(tmp_path, "feature_maps/conv1"):
        assert_right(arrays, info["class_names"])


def test_two_projections_of_other_samples_do_not_share_thumbnails(tmp_path):
    other = Probe.from_tensors(torch.rand(20, 1, 8, 8), torch.arange(20) % 4, TinyData.classes)
    callbacks = [
        EmbeddingProjection(layers="act", method="pca", on_error="raise"),
        EmbeddingProjection(layers="fc1", method="pca", tag="other", probe=other, on_error="raise"),
    ]
    train, val = loaders()
    fit(tmp_path, callbacks, data=(train, DataLoader(val.dataset, 8)))
    assert records(tmp_path, "projection/act/pca")
    assert records(tmp_path, "projection/fc1/pca") == []
