"""MP4 with H.264, which every player knows, through PyAV (`pip install "lightning-cnnviz[export]"`)."""

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from lightning_cnnviz.export.films.frames import Reel

COLOURS = "colorprim=bt709:transfer=bt709:colormatrix=bt709"
"""Said in the file: where nothing is said, players take small films for other colours than large ones."""
OPTIONS = {"crf": "16", "preset": "medium", "x264-params": COLOURS}
"""Of x264: a quality of 0 is lossless, 23 its default."""
CODEC, PIXELS = "libx264", "yuv420p"
"""Colours at half the resolution: other players than VLC and browsers know nothing else."""


def write_mp4(path: Path, reel: Reel) -> None:
    """Writes a film; its colours are a little blurred, transparency becomes white, odd sides get a white line more.

    Args:
        path: Of the file.
        reel: What it is made of.

    Raises:
        ModuleNotFoundError: If PyAV is not installed.
        OSError: If it cannot be written.
    """
    import av

    even = (reel.size[0] + reel.size[0] % 2, reel.size[1] + reel.size[1] % 2)
    reel = replace(reel, size=even, mode="RGB")
    rate = Fraction(1 / reel.seconds).limit_denominator(1000)
    time = itertools.count()
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(CODEC, rate=rate, options=OPTIONS)
        stream.width, stream.height, stream.pix_fmt = *even, PIXELS
        for number, picture in enumerate(reel.frames(), start=1):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture)).reformat(format=PIXELS, dst_colorspace="ITU709")
            for _ in range(max(1, round(reel.seconds_of(number) / reel.seconds))):
                frame.pts, frame.time_base = next(time), 1 / rate
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
