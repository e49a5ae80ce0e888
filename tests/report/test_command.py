import pytest
from tensorboard_plugin.synthetic_run import lenet

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


@pytest.mark.parametrize("arguments", [["--steps", "5"], ["--steps", "a:b"], ["--max-mb", "0"], ["--max-mb", "many"]])
def test_arguments_that_do_not_fit_say_what_would(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["run", *arguments])
    assert f"got '{arguments[1]}'" in capsys.readouterr().err
