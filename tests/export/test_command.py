import pytest
from helpers.logged_pictures import file_of, image_value, log, picture
from tensorboard_plugin.synthetic_run import Run

from lightning_cnnviz.export import command
from lightning_cnnviz.export.command import main


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "run")
    for step in range(3):
        log(run, step, image_value("image", file_of(picture(step))), image_value("broken", b"?"))
    return str(tmp_path / "run")


def test_one_line_says_what_was_written_and_one_what_was_not(run, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main([run, out, "--steps", "1:1", "--only", "pictures", "films", "--film", "gif", "--fps", "2"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}  0.0 MB: 1 picture\n"
    first, second = told.err.splitlines()
    assert first.startswith("note: broken at step 1 is no picture that can be read")
    assert second == "note: no films: the run has logged nothing for them"
    assert main([run, out, "--overwrite"]) == 0
    assert capsys.readouterr().out.startswith(f"{out}  0.0 MB: 3 pictures, 1 film")


def test_what_is_wrong_is_one_line_without_a_traceback(run, tmp_path, capsys, monkeypatch):
    assert main([run, run]) == 2
    assert capsys.readouterr().err == (
        f"error: expected an empty folder or one with an export, got {run}, which has other files; name another one\n"
    )
    (tmp_path / "file").write_text("")
    assert main([run, str(tmp_path / "file" / "out")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'file' / 'out'} cannot be written: Not a directory")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "export_run", interrupted)
    assert main([run, "out"]) == 2
    assert capsys.readouterr().err == "error: interrupted; out is as it was\n"


@pytest.mark.parametrize(
    "arguments", [["--steps", "5"], ["--fps", "0"], ["--fps", "fast"], ["--film", "avi"], ["--only", "sounds"]]
)
def test_arguments_that_do_not_fit_say_what_would(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["run", "out", *arguments])
    assert f"'{arguments[1]}'" in capsys.readouterr().err
