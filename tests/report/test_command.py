import os
import stat
import subprocess
import sys

import pytest
from tensorboard_plugin.scenes import lenet

from lightning_cnnviz.report.command import main


def test_the_path_and_the_size_are_told(tmp_path, capsys):
    lenet(tmp_path / "run")
    assert (
        main([str(tmp_path / "run"), "-o", str(tmp_path / "a.html"), "--layers", "conv1", "fc*", "--steps", "200:"])
        == 0
    )
    size = (tmp_path / "a.html").stat().st_size
    assert capsys.readouterr().out == f"{tmp_path / 'a.html'}  {size / 1e6:.1f} MB\n"
    assert main([str(tmp_path / "run"), "--compare", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.startswith("error: expected two runs")


def test_what_is_wrong_is_one_line_without_a_traceback(tmp_path, capsys):
    lenet(tmp_path / "run")
    assert main([str(tmp_path / "none")]) == 2
    assert (
        capsys.readouterr().err == f"error: expected the folder of a run, got {tmp_path}/none, which does not exist\n"
    )
    for output, words in (("none/a.html", "No such file or directory"), ("run", "it is a folder")):
        assert main([str(tmp_path / "run"), "-o", str(tmp_path / output)]) == 2
        line = f"error: {tmp_path / output} cannot be written: {words}; what was there is as it was\n"
        assert capsys.readouterr().err == line


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_a_device_or_a_pipe_stays_what_it_is(tmp_path, capsys):
    lenet(tmp_path / "run")
    os.mkfifo(tmp_path / "pipe")
    assert main([str(tmp_path / "run"), "-o", str(tmp_path / "pipe")]) == 2
    assert f"{tmp_path / 'pipe'} cannot be written: it is a device or a pipe, no file" in capsys.readouterr().err
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


def test_ctrl_c_is_one_line_and_leaves_the_page_of_before(tmp_path):
    lenet(tmp_path / "run")
    (tmp_path / "a.html").write_text("before")
    code = """
import signal, sys
from lightning_cnnviz.report import command, write
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has background jobs ignore it
write.estimate = lambda *_: signal.raise_signal(signal.SIGINT)  # while the page is written
sys.exit(command.main(sys.argv[1:]))
"""
    arguments = [sys.executable, "-c", code, str(tmp_path / "run"), "-o", str(tmp_path / "a.html")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: interrupted; no page was written, and one that was there is as it was\n"
    assert (tmp_path / "a.html").read_text() == "before"
    assert sorted(os.listdir(tmp_path)) == ["a.html", "run"]


@pytest.mark.parametrize("arguments", [["--steps", "5"], ["--steps", "a:b"], ["--max-mb", "0"], ["--max-mb", "many"]])
def test_arguments_that_do_not_fit_say_what_would(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["run", *arguments])
    assert f"got '{arguments[1]}'" in capsys.readouterr().err
