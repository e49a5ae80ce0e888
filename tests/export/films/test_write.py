from io import BytesIO

import numpy as np
import pytest
from helpers.logged_pictures import file_of, image_value, log, picture
from helpers.peak_memory import peak_memory
from PIL import Image, ImageSequence
from tensorboard_plugin.synthetic_run import Run

from lightning_cnnviz.export.write import export_run


def frames(path):
    with Image.open(path) as film:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]


def test_each_tag_with_several_pictures_has_a_film_of_them(exported, reader):
    several = {tag: reader.Images(tag) for tag in reader.Tags()["images"] if len(reader.Images(tag)) > 1}
    films = {path.stem: path for path in exported.files if path.parent.name == "films"}
    assert set(films) == {tag.replace("/", "_") for tag in several}
    for tag, events in several.items():
        shown = frames(films[tag.replace("/", "_")])
        assert len(shown) == len(events)
        for frame, event in zip(shown, events, strict=True):
            image = np.asarray(Image.open(BytesIO(event.encoded_image_string)).convert("RGB"))
            height, width, _ = image.shape
            np.testing.assert_array_equal(frame[:height, :width], image)
            assert (frame[height:] == 255).all()
            assert (frame[:, width:] == 255).all()


@pytest.mark.parametrize("film", ["apng", "gif"])
def test_what_makes_no_film_is_told(tmp_path, film):
    run = Run(tmp_path / "run")
    animation = file_of(picture(0), save_all=True, append_images=[picture(1)])
    for step in range(3):
        log(run, step, image_value("still", file_of(picture(step))), image_value("moves", animation))
        log(run, step, image_value("broken", b"?"))
    log(run, 0, image_value("once", file_of(picture(5))))
    export = export_run(tmp_path / "run", tmp_path / "out", only=["films"], film=film)
    assert [path.name for path in export.files] == [f"still.{film}"]
    assert len(export.notes) == 2
    assert "no film of moves: its pictures are films already" in export.notes


@pytest.mark.parametrize("film", ["apng", "gif"])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF"])
def test_a_picture_that_breaks_off_costs_its_own_film(tmp_path, film, form):
    run = Run(tmp_path / "run")
    whole = file_of(picture(0, 90, 90), format=form)
    for step, data in enumerate((whole, whole[: len(whole) // 2])):
        log(run, step, image_value("cut", data), image_value("still", file_of(picture(step))))
    export = export_run(tmp_path / "run", tmp_path / "out", only=["films"], film=film)
    assert [path.name for path in export.files] == [f"still.{film}"]
    (note,) = export.notes
    assert note.startswith("no film of cut: a picture cannot be read: ")


@pytest.mark.parametrize("film", ["apng", "gif"])
def test_memory_does_not_grow_with_the_film(tmp_path, film):
    code = """
import sys
from lightning_cnnviz.export.write import export_run
export_run(*sys.argv[1:3], only=["films"], film=sys.argv[3])
"""
    peak = {}
    for count in (10, 150):
        run = Run(tmp_path / str(count))
        for step in range(count):
            log(run, step, image_value("noise", file_of(picture(step, 4, 4).resize((400, 400), 0))))
        peak[count] = peak_memory(code, tmp_path / str(count), tmp_path / f"out{count}", film)
    assert peak[150] < peak[10] + 20_000  # kilobytes; the frames have 480 kB each
