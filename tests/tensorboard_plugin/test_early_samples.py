"""The samples of a run that ended before any validation are shown with their images and the names of their classes."""

import pytest
from helpers.tiny import TinyData, fit

from lightning_cnnviz import EmbeddingProjection, FeatureMaps, Saliency


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("early")
    kinds = (FeatureMaps, Saliency)
    callbacks = [*(kind(on_error="raise") for kind in kinds), EmbeddingProjection(layers="act", method="pca")]
    fit(folder, callbacks, max_steps=4, max_epochs=-1)
    return folder


@pytest.mark.parametrize("panel", [".layer", ".saliency"])
def test_no_sample_is_grey_or_a_number(panel, tab, start, ended):
    tab.open(start(ended, fast=False).wait_for("run", 1), run="run", layer="conv1", kind="feature_maps", step=4).at(4)
    strip = f"{panel} .samples button"
    count = tab.find(strip).count()
    assert count >= 4
    for place in range(count):
        assert tab.find(f"{strip} >> nth={place} >> small").first.inner_text() in TinyData.classes
        picture = tab.pixels(f"{strip} >> nth={place} >> canvas")[..., :3]
        assert picture.min() < 80 < 160 < picture.max(), "a plain grey one"
    assert set(TinyData.classes) <= set(tab.words(".projection").split())
