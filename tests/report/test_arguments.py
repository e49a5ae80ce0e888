import argparse

import pytest

from lightning_cnnviz.report.arguments import run_arguments, steps_range


def test_both_ends_of_the_steps_may_be_missing():
    assert steps_range("100:200") == (100, 200)
    assert steps_range("100:") == (100, None)
    assert steps_range(":200") == (None, 200)
    assert steps_range(":") == (None, None)


@pytest.mark.parametrize("text", ["", "100", "a:b", "1:2:3", "1.5:"])
def test_other_words_for_steps_are_refused_with_an_example(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"expected FIRST:LAST, e\.g\. 0:5000, got"):
        steps_range(text)


def test_a_command_takes_them_before_its_own():
    parser = argparse.ArgumentParser(parents=[run_arguments()])
    parser.add_argument("folder")
    options = parser.parse_args(["run", "out", "--layers", "conv1", "fc*", "--steps", "5:"])
    assert (options.run, options.folder, options.layers, options.steps) == ("run", "out", ["conv1", "fc*"], (5, None))
    assert parser.parse_args(["run", "out"]).steps == (None, None)
