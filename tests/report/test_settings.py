import pytest

from lightning_cnnviz.report.settings import flat, settings

HPARAMS = """\
lr: 0.1
betas: [0.9, 0.999]
optimizer: !!python/name:torch.optim.Adam ''
net: !!python/object/apply:os.system ["touch {marker}"]
scheduler: !unknown {{step: 3}}
wandb_api_key: abc
tokenizer: words
"""
CONFIG = """\
model:
  class_path: Net
  init_args: {width: 8, activation: null}
data: {root: "<b>&", splits: [{name: a}, {name: b}]}
trainer: {max_epochs: 3, callbacks: [{class_path: X}], logger: {save_dir: y}, gradient_clip_val: null}
"""


def test_both_files_are_read_by_full_names(tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "hparams.yaml").write_text(HPARAMS.format(marker=marker))
    (tmp_path / "config.yaml").write_text(CONFIG)
    assert dict(settings(str(tmp_path))) == {
        "lr": "0.1",
        "betas": "0.9, 0.999",
        "optimizer": "torch.optim.Adam",
        "net": f"touch {marker}",
        "scheduler.step": "3",
        "wandb_api_key": "(left out)",
        "tokenizer": "words",
        "model": "Net",
        "model.width": "8",
        "data.root": "<b>&",
        "data.splits.0.name": "a",
        "data.splits.1.name": "b",
        "trainer.max_epochs": "3",
    }
    assert not marker.exists()  # nothing that a file names is run


@pytest.mark.parametrize("text", ["a: [", "\x00", "just words", "[" * 5000, "&a [*a]"])
def test_a_file_that_cannot_be_read_has_no_settings(tmp_path, text):
    (tmp_path / "hparams.yaml").write_text(text)
    (tmp_path / "config.yaml").write_text("seed_everything: 1")
    assert ("seed_everything", "1") in settings(str(tmp_path))


def test_without_files_there_are_none(tmp_path):
    assert settings(str(tmp_path)) == []


@pytest.mark.parametrize(
    "name",
    [
        *("tokens", "pwd", "auth", "passwords", "secrets", "API_TOKENS", "private_key", "ssh_key", "openai_key"),
        *("accessToken", "hfToken", "dbPassword", "HTTPAuth", "model.passphrase", "apikey", "keys.0"),
    ],
)
def test_values_of_secrets_are_left_out_however_their_names_are_written(name):
    assert list(flat({name: "x1"})) == [(name, "(left out)")]


@pytest.mark.parametrize(("name", "value"), [("max_tokens", 512), ("keyboard", "qwerty"), ("author", "me")])
def test_other_settings_are_shown(name, value):
    assert list(flat({name: value})) == [(name, str(value))]
