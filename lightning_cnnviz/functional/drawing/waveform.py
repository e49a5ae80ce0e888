"""Signals, such as raw audio, drawn as waveforms."""

import numpy as np

from lightning_cnnviz.functional.drawing.caption import INK
from lightning_cnnviz.functional.drawing.colours import NON_FINITE
from lightning_cnnviz.functional.drawing.image import ArrayLike, FloatArray, Picture, finite_range, to_array

MIN_LENGTH, MAX_CHANNELS = 32, 16
"""Shorter signals, and ones with more channels, are drawn as strips: as likely they are features or a spectrogram."""
ZERO_LINE = 200
"""Grey level of the line at zero."""


def is_waveform(shape: tuple[int, ...]) -> bool:
    """Whether a sample of this shape, (length,) or (channels, length), is drawn as a waveform.

    Example:
        >>> is_waveform((16000,)), is_waveform((2, 16000)), is_waveform((1, 28, 28)), is_waveform((4,))
        (True, True, False, False)
    """
    return len(shape) in (1, 2) and shape[-1] >= MIN_LENGTH and (len(shape) == 1 or 1 <= shape[0] <= MAX_CHANNELS)


def waveform(signal: ArrayLike, width: int) -> Picture:
    """Draws a signal over time, from its smallest to its largest value, with a grey line at zero.

    Args:
        signal: Shape (length,), or (channels, length): of several channels, the range that they span.
        width: In pixels. Where several values share a column, it reaches from the smallest to the largest of them.

    Returns:
        Height × width × 3, half as high as wide. Columns with non-finite values are magenta.

    Example:
        >>> waveform(np.sin(np.linspace(0, 9, 16000)), 96).shape
        (48, 96, 3)
    """
    values = np.atleast_2d(to_array(signal)).astype(np.float64)
    low, high = finite_range(values)
    middle = (low + high) / 2
    height = max(1, width // 2)
    pixels_per_unit = (height - 1) / (high - low) if high > low else 0.0
    length = values.shape[1]
    starts = np.arange(width) * length // width
    finite = np.isfinite(values).all(axis=0)
    lows = np.minimum.reduceat(np.where(finite, values.min(axis=0), np.inf), starts)
    highs = np.maximum.reduceat(np.where(finite, values.max(axis=0), -np.inf), starts)
    # Each column also reaches the one before it, so that steep parts of the wave are not torn.
    lows[1:], highs[1:] = np.minimum(lows[1:], highs[:-1]), np.maximum(highs[1:], lows[:-1])
    picture = np.full((height, width, 3), 255, dtype=np.uint8)

    def rows(level: FloatArray) -> FloatArray:
        offset = (np.clip(level, low, high) - middle) * pixels_per_unit
        return np.asarray(np.round((height - 1) / 2 - offset))

    if low < 0 < high:
        picture[int(rows(np.zeros(1))[0])] = ZERO_LINE
    place = np.arange(height)[:, None]
    picture[(place >= rows(highs)) & (place <= rows(lows))] = INK
    picture[:, ~np.logical_and.reduceat(finite, starts)] = NON_FINITE
    return picture
