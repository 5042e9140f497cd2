"""Arrays for people: a small picture and a line of text."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from samebits.signature.kind import Array

_WIDTH, _HEIGHT = 96, 64
"""Of a plot; a larger array is thinned to 96 pixels a side."""
_LINES = 8
"""Rows of [C, L] that are plotted, one below the other; more are shown as grey levels."""
_PAPER, _INK = 255, 40


def array_text(array: Array) -> str:
    """Type, shape and range: `float32 [2, 50], -1.2 to 3.4`."""
    return f"{array.dtype.name} [{', '.join(map(str, array.shape))}], {array.min():.4g} to {array.max():.4g}"


def array_picture(array: Array) -> npt.NDArray[np.uint8]:
    """A picture, uint8 [1, H, W]: of [L] and of few rows [C, L] their curves, else grey levels from the least value
    to the largest; of more axes the middle of those before the last two."""
    values = array.astype(np.float64)
    while values.ndim > 2:
        values = values[len(values) // 2] if values.ndim > 3 else values[0]
    if values.ndim == 1 or len(values) <= _LINES < values.shape[1]:
        curves = np.atleast_2d(values)
        height = max(8, _HEIGHT // len(curves))
        return np.concatenate([_curve(curve, height) for curve in curves])[None]
    rows, columns = (np.linspace(0, n - 1, min(n, _WIDTH)).astype(int) for n in values.shape)
    shown = values[np.ix_(rows, columns)]
    low, spread = shown.min(), np.ptp(shown) or 1.0
    grey: npt.NDArray[np.uint8] = np.round((shown - low) / spread * 255).astype(np.uint8)
    return grey[None]


def _curve(values: Array, height: int) -> npt.NDArray[np.uint8]:
    """One curve, uint8 [height, W], dark on white: of each column from the least value to the largest."""
    width = min(len(values), _WIDTH)
    edges = np.linspace(0, len(values), width + 1).astype(int)
    low, spread = values.min(), np.ptp(values) or 1.0
    level = np.round((1.0 - (values - low) / spread) * (height - 1)).astype(int)
    picture = np.full((height, width), _PAPER, dtype=np.uint8)
    for column, (start, end) in enumerate(pairwise(edges.tolist())):
        part = level[max(0, start - 1) : end]  # from where the column before ended
        picture[part.min() : part.max() + 1, column] = _INK
    return picture
