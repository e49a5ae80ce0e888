"""A text file is there as a whole or not at all, on any file system."""

import pytest

from lightning_cnnviz.output.text_file import write_text


def test_a_file_is_written_with_its_folder_and_replaced_as_a_whole(tmp_path):
    path = tmp_path / "run" / "deep" / "file.csv"
    write_text(str(path), "one\n")
    write_text(str(path), "two\n")
    assert path.read_text() == "two\n"
    assert [found.name for found in path.parent.iterdir()] == ["file.csv"]


def test_what_fails_leaves_the_file_of_before(tmp_path):
    path = tmp_path / "file.csv"
    write_text(str(path), "one\n")
    with pytest.raises(UnicodeEncodeError):
        write_text(str(path), "two \ud800\n")
    assert path.read_text() == "one\n"
