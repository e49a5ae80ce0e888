import os
import subprocess
import sys

from tensorboard_plugin.scenes import lenet


def run(*arguments):
    command = [sys.executable, "-m", "lightning_cnnviz", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)


def test_the_report_is_a_command(tmp_path):
    lenet(tmp_path / "run")
    ended = run("report", tmp_path / "run")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"{tmp_path}/run/report.html  ")


def test_help_and_an_unknown_command():
    assert run("--help").stdout == run().stdout
    assert "report RUN" in run().stdout
    ended = run("reprot")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: expected the command report or export, got 'reprot'\nUsage:")


def test_the_command_loads_neither_torch_nor_lightning(tmp_path):
    lenet(tmp_path / "run")
    code = f"""
import sys
from lightning_cnnviz.__main__ import main
main(["report", {str(tmp_path / "run")!r}])
print(*{{name.split(".")[0] for name in sys.modules}})
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.splitlines()[-1].split())
    assert "lightning_cnnviz" in loaded
    assert not loaded & {"torch", "pytorch_lightning", "lightning_fabric", "matplotlib"}
