"""Statistics of images: shares of the largest pixel value, 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from samebits.drift import measure
from samebits.drift.measure import Measure, number
from samebits.signature.image import ImageInputs
from samebits.signature.kind import Array, Floats64

_AT_ONCE = 1 << 22
"""Pixel values in float64."""


class Kind(measure.Kind[ImageInputs]):
    """Brightness (mean), contrast (standard deviation), sharpness (mean difference of neighbours), means of channels;
    of uint8, uint16 or int32 [n, C, H, W]."""

    def measure(self, rows: Array, token_counts: Sequence[int]) -> dict[str, Measure]:
        step = max(1, _AT_ONCE // int(np.prod(self.inputs.shape)))
        parts = [_measured(rows[start : start + step].astype(np.float64)) for start in range(0, len(rows), step)]
        values = np.concatenate(parts) / self.inputs.largest_pixel
        names = ["brightness", "contrast", "sharpness", *_channels(self.inputs.shape[0])]
        return {name: number(column) for name, column in zip(names, values.T, strict=False)}


def _channels(count: int) -> list[str]:
    if count == 1:
        return []
    return ["red", "green", "blue"] if count == 3 else [f"channel {place}" for place in range(count)]


def _measured(pixels: Floats64) -> Floats64:
    """[n, 3 + C]."""
    across, down = (np.abs(np.diff(pixels, axis=axis)) for axis in (3, 2))
    steps = max(1, across[0].size + down[0].size)
    sharpness = (across.sum(axis=(1, 2, 3)) + down.sum(axis=(1, 2, 3))) / steps
    whole = [pixels.mean(axis=(1, 2, 3)), pixels.std(axis=(1, 2, 3)), sharpness]
    return np.column_stack([*whole, pixels.mean(axis=(2, 3))])
