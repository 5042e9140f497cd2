"""Stored images as a person sees them: in galleries, tables of worst cases and thumbnails."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt


def displayed(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """An image of any depth and number of channels as grey or RGB of 8 bits.

    Of more than three channels, the first three are shown as red, green and blue; of two, the first as grey. Values of
    16 bits are stretched from the image's own smallest to its own largest: at 12 bits in 16 it would be black.

    Args:
        image: uint8 or uint16 [C, H, W].

    Returns:
        uint8 [1, H, W] or [3, H, W]; what is such is given as it is.
    """
    shown: npt.NDArray[Any] = image[:3] if len(image) >= 3 else image[:1]
    if shown.dtype == np.uint8:
        return shown
    values = shown.astype(np.int64)
    low = values.min()
    span = max(1, int(values.max() - low))
    stretched: npt.NDArray[np.uint8] = ((values - low) * 255 // span).astype(np.uint8)
    return stretched


def image_png(image: npt.NDArray[Any], longest: int | None = None) -> bytes:
    """An image uint8 or uint16 [C, H, W] as PNG, as it is `displayed`.

    Args:
        longest: pixels of the longer side, at most; None: pixel for pixel.
    """
    from PIL import Image

    pixels = displayed(image)
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    if longest is not None:
        picture.thumbnail((longest, longest))
    buffer = io.BytesIO()
    picture.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
