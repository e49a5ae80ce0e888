import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard_plugin.synthetic_run import HOSTILE

from lightning_cnnviz.export.names import MAX_BYTES, RESERVED, file_names

ON_WINDOWS = set('<>:"/\\|?*') | {chr(code) for code in range(32)}


def test_a_plain_tag_is_its_name():
    assert file_names(["curves/loss", "feature_maps/conv1"]) == {
        "curves/loss": "curves_loss",
        "feature_maps/conv1": "feature_maps_conv1",
    }


@pytest.mark.parametrize(
    "tags",
    [
        ["a/b", "a_b", "A/B", "a:b"],
        ["Straße", "STRASSE"],
        ["é", "e\u0301"],
        ["x" * 300, "x" * 301],
        ["", ".", ".."],
        ["日" * 99],
    ],
)
def test_tags_that_are_alike_have_files_of_their_own_on_every_system(tags):
    names = file_names(tags)
    assert len({unicodedata.normalize("NFKC", name).casefold() for name in names.values()}) == len(tags)


@given(st.lists(st.one_of(st.text(), st.sampled_from([*HOSTILE, *RESERVED, "CON.png", "a."])), unique=True))
def test_any_tag_has_a_name_that_every_system_takes(tags):
    names = file_names(tags)
    assert list(names) == tags
    assert names == {tag: file_names(sorted(tags))[tag] for tag in tags}
    for name in names.values():
        assert 0 < len(name.encode()) <= MAX_BYTES
        assert not set(name) & ON_WINDOWS
        assert name.strip(". ") == name
        assert name.split(".")[0].lower() not in RESERVED
