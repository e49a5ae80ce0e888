import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recipes.records import saved_metrics

ROOT = Path(__file__).resolve().parents[2]


def recipes(*arguments, cwd, **environment):
    """Run ``python -m recipes`` in a folder of its own, on one thread: several wait for each other on busy cores."""
    alone = {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "recipes", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | alone | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def demo(home):
    return recipes("demo", "--trainer.max_epochs=2", cwd=home)


def warnings_of(run):
    """What went to stderr, but for the bar that a busy machine shows while the last pictures are drawn."""
    return "".join(line for line in run.stderr.splitlines() if not line.strip().startswith("drawing:")).strip()


def test_demo_leaves_a_whole_run(demo, home):
    assert (demo.returncode, warnings_of(demo)) == (0, "")
    folder = home / "runs" / "demo" / "version_0"
    assert list(folder.glob("events.out.tfevents.*"))
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["max_epochs"] == 2
    metrics = saved_metrics(folder)
    assert {"train_loss", "val_acc", "test_loss", "test_acc", "test_acc/9"} <= set(metrics)
    assert f"test_acc    {metrics['test_acc']:.4f}" in demo.stdout


def test_demo_draws_every_view_it_names(demo, home):
    events = EventAccumulator(str(home / "runs" / "demo" / "version_0"))
    events.Reload()
    images = set(events.Tags()["images"])
    assert {"kernels/conv1", "kernels/conv2", "feature_maps/conv1", "feature_maps/overview"} <= images
    assert {"gradient_flow/bars", "gradient_flow/heatmap", "projection/relu4/tsne"} <= images
    assert {"curves/loss", "curves/accuracy", "class_report/confusion", "class_report/mistakes"} <= images
    assert [image.step for image in events.Images("kernels/conv1")] == [0, 36, 72]  # 1,150 images in batches of 32
    named = re.findall(r"^  (?:Images|Custom Scalars) tab +([a-z_]+)", demo.stdout, re.MULTILINE)
    assert named == ["kernels", "feature_maps", "gradient_flow", "curves", "class_report", "activations", "projection"]


def test_demo_ends_with_the_address_of_the_tab_and_the_run_folder(demo):
    lines = demo.stdout.splitlines()
    first = lines.index("http://localhost:6006/#cnnviz")
    assert Path(lines[first + 1]) == Path("runs", "demo", "version_0")


def test_demo_leaves_the_report_and_says_where(demo, home):
    page = home / re.search(r"^Report +(\S+)", demo.stdout, re.MULTILINE)[1]
    assert page == home / "runs" / "demo" / "version_0" / "report.html"
    assert "test_acc/9" in page.read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_fails_no_recipe(home):
    page = home / "runs" / "demo" / "blocked" / "report.html"
    page.mkdir(parents=True)
    run = recipes("demo", "--trainer.max_epochs=1", "--trainer.logger.version=blocked", cwd=home)
    assert run.returncode == 0
    assert "No report was written: [Errno 21] it is a folder" in run.stderr
    assert "Report  " not in run.stdout
    assert saved_metrics(page.parent)["test_loss"] > 0


def test_demo_says_how_to_open_tensorboard(demo, home):
    command = shlex.split(re.search(r"^TensorBoard +(.+)$", demo.stdout, re.MULTILINE)[1])
    assert Path(command[0]).samefile(Path(sys.executable).with_name("tensorboard"))
    assert (home / command[command.index("--logdir") + 1] / "metrics.json").exists()
    assert command[command.index("--samples_per_plugin") + 1] == "images=100"


def test_rerun_is_identical_to_the_last_bit(demo, home):
    again = recipes("rerun", "runs/demo/version_0", cwd=home)
    assert (again.returncode, warnings_of(again)) == (0, "")
    assert again.stdout.endswith("\nidentical to runs/demo/version_0\n")
    first, second = ((home / "runs" / "demo" / f"version_{v}" / "metrics.json").read_text() for v in (0, 1))
    assert first == second


def test_rerun_without_the_pictures_is_identical_too(demo, home):
    bare = recipes("rerun", "runs/demo/version_0", "--trainer.callbacks=null", cwd=home)
    assert bare.returncode == 0, bare.stdout + bare.stderr
    assert "kernels/" not in bare.stdout


def test_rerun_lists_what_overrides_change(demo, home):
    overrides = ["--seed_everything=1", "--trainer.callbacks=null", "--trainer.logger.version=other"]
    other = recipes("rerun", "runs/demo/version_0", *overrides, cwd=home)
    assert (other.returncode, other.stderr) == (1, "")
    recorded, now = (saved_metrics(home / "runs" / "demo" / name) for name in ("version_0", "other"))
    assert f"test_loss: {recorded['test_loss']!r} recorded, {now['test_loss']!r} now" in other.stdout.splitlines()


def test_overrides_reach_model_data_and_trainer(home):
    run = recipes(
        "lenet5",
        "--data=Digits",
        "--data.batch_size=200",
        "--model.optimizer=Adam",
        "--model.optimizer.lr=0.003",
        "--trainer.max_epochs=1",
        cwd=home,
    )
    assert (run.returncode, warnings_of(run)) == (0, "")
    config = yaml.safe_load((home / "runs" / "lenet5" / "version_0" / "config.yaml").read_text())
    assert config["data"]["class_path"].endswith("Digits")
    assert config["data"]["init_args"]["batch_size"] == 200
    assert config["model"]["init_args"]["optimizer"]["class_path"].endswith("Adam")
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.003


def test_help_lists_every_recipe(tmp_path):
    for arguments in ([], ["--help"]):
        shown = recipes(*arguments, cwd=tmp_path)
        assert (shown.returncode, shown.stderr) == (0, "")
        for config in (ROOT / "recipes" / "configs").glob("*.yaml"):
            assert re.search(rf"^  {config.stem} +\w.{{20}}", shown.stdout, re.MULTILINE)


def broken(folder):
    folder.mkdir()
    (folder / "config.yaml").write_text("trainer: [")
    return folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (lambda _: ["lenet"], r"lenet5.*, got 'lenet'"),
        (lambda _: ["rerun"], "folder"),
        (lambda tmp: ["rerun", tmp / "nowhere"], r"nowhere, .*config\.yaml"),
        (lambda tmp: ["rerun", broken(tmp / "broken")], r"config\.yaml cannot be read"),
        (lambda tmp: ["lenet5", f"--data.root={tmp}"], "MNIST .*CNNVIZ_DATA"),
    ],
    ids=["unknown recipe", "no folder", "missing folder", "broken configuration", "missing data"],
)
def test_mistakes_end_with_one_line_and_exit_code_2(arguments, said, tmp_path):
    closed = "http://127.0.0.1:9"  # nothing listens there, so no network
    run = recipes(*arguments(tmp_path), cwd=tmp_path, http_proxy=closed, https_proxy=closed)
    assert run.returncode == 2
    assert re.fullmatch(rf"error: .*{said}.*\n", run.stderr)
    assert not (tmp_path / "runs").exists()
