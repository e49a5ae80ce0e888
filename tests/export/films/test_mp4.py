import numpy as np
import pytest
from helpers.logged_pictures import file_of
from PIL import Image

from lightning_cnnviz.export.films.frames import reel
from lightning_cnnviz.export.films.mp4 import write_mp4

av = pytest.importorskip("av")


def smooth(shift, height, width):
    ramp = np.linspace(0, 1, width)[None] + np.linspace(0, 1, height)[:, None]
    return Image.fromarray((127.5 * (1 + np.sin(4 * ramp + shift))).astype(np.uint8))


def test_the_frames_are_the_pictures_in_order_and_time(tmp_path):
    images = [smooth(0, 61, 81), smooth(1, 40, 81), smooth(2, 61, 81)]
    files = [file_of(image) for image in images]
    write_mp4(tmp_path / "film.mp4", reel(lambda: iter(files), 0.25))
    with av.open(str(tmp_path / "film.mp4")) as film:
        (stream,) = film.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in film.decode(stream)]
    assert [time for time, _ in frames] == pytest.approx([0.25 * k for k in range(2 + 8)])  # two seconds of the last
    for (_, shown), image in zip(frames, [*images, *[images[-1]] * 7], strict=True):
        expected = np.full((62, 82, 3), 255.0)  # even, padded with white
        expected[: image.height, : image.width] = np.asarray(image, float)[..., None]
        assert np.abs(shown - expected).mean() < 3


def test_colours_are_those_of_the_pictures_and_the_file_says_which_they_are(tmp_path):
    colours = [(200, 30, 40), (20, 180, 60), (40, 50, 220), (240, 200, 20)]
    files = [file_of(Image.new("RGB", (64, 48), colour)) for colour in colours]
    write_mp4(tmp_path / "film.mp4", reel(lambda: iter(files), 2.0))
    with av.open(str(tmp_path / "film.mp4")) as film:
        for frame, colour in zip(film.decode(video=0), colours, strict=True):
            assert int(frame.colorspace) == 1  # BT.709
            y, u, v = (float(np.frombuffer(plane, np.uint8)[plane.line_size * 9 + 9]) for plane in frame.planes)
            luma, blue, red = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
            shown = [luma + 1.5748 * red, luma - 0.1873 * blue - 0.4681 * red, luma + 1.8556 * blue]
            assert np.abs(255 * np.array(shown) - colour).max() < 6
