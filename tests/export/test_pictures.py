from io import BytesIO

import numpy as np
from helpers.logged_pictures import file_of, image_value, log, picture, tensor_value
from PIL import Image
from tensorboard_plugin.synthetic_run import HOSTILE, Run

from lightning_cnnviz.export.write import export_run


def test_each_picture_is_the_file_that_was_logged(exported, reader):
    found = {path.relative_to(exported.folder).as_posix(): path for path in exported.files if "pictures" in path.parts}
    tags = reader.Tags()["images"]
    assert "projection/fc1/tsne/film" in tags or any(tag.endswith("/film") for tag in tags)
    for tag in tags:
        for event in reader.Images(tag):
            path = found.pop(f"pictures/{tag.replace('/', '_')}/step_{event.step:08d}.png")
            assert path.read_bytes() == event.encoded_image_string
    assert not found


def test_other_formats_are_copied_as_they_are_and_those_that_few_can_read_become_png(tmp_path):
    frames = [picture(seed) for seed in range(3)]
    animated = {"save_all": True, "append_images": frames[1:]}
    files = {
        "gif": file_of(frames[0], format="GIF", **animated),
        "webp": file_of(frames[0], format="WEBP", lossless=True, **animated),
        "png": file_of(frames[0], **animated),
        "jpg": file_of(frames[0], format="JPEG"),
        "bmp": file_of(frames[0], format="BMP"),
        "none": b"no picture",
    }
    run = Run(tmp_path / "run")
    for name, data in files.items():
        log(run, 5, image_value(name, data))
    log(run, 6, tensor_value("two", "images", [b"30", b"20", files["png"], files["gif"]]))
    export = export_run(tmp_path / "run", tmp_path / "out", only=["pictures"])
    written = {path.relative_to(tmp_path / "out" / "pictures").as_posix(): path.read_bytes() for path in export.files}
    png = written.pop("bmp/step_00000005.png")
    np.testing.assert_array_equal(Image.open(BytesIO(png)), frames[0])
    assert written == {
        **{f"{name}/step_00000005.{name}": files[name] for name in ("gif", "webp", "png", "jpg")},
        **{"two/step_00000006.png": files["png"], "two/step_00000006_2.gif": files["gif"]},
    }
    (note,) = export.notes
    assert note.startswith("none at step 5 is no picture that can be read")


def test_tags_of_any_kind_stay_in_the_folder(tmp_path):
    run = Run(tmp_path / "run")
    tags = [*HOSTILE, "/etc/passwd", "..", "C:\\Windows", "a" * 500]
    for number, tag in enumerate(tags):
        log(run, 1, image_value(tag, file_of(picture(number))))
    export = export_run(tmp_path / "run", tmp_path / "out", only=["pictures"])
    assert len(export.files) == len(tags)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["export.json", "pictures"]
    assert all(path.resolve().is_relative_to(tmp_path / "out" / "pictures") for path in export.files)
