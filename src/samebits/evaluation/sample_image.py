"""Stored images as pictures: in galleries, tables of worst cases and thumbnails."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.signature.image import displayed


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
