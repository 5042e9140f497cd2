"""Images that lie in memory or in mapped files as arrays: statistics and encoding, for every reader of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from samebits.base.errors import UserError
from samebits.data.readers.image.pixels import Pixels, Resize
from samebits.data.readers.reader import Array, Encoded, Int64, Raw
from samebits.signature.image import ImageInputs
from samebits.signature.signature import Signature

_CHUNK = 4096


@dataclass(frozen=True, kw_only=True)
class RawImages(Raw):
    """Labelled images.

    Attributes:
        parts: uint8 or uint16 [n_k, C, H, W] each; one after the other, they are the samples.
        rows: int64 [n], the place of each sample in `parts`, where some of them are none.
        resize, value_range: how the files were brought to one shape and depth.
    """

    parts: Sequence[Pixels]
    rows: Int64 | None = None
    resize: Resize = "pad"
    value_range: list[float] | None = None

    def encode(self, splits: Mapping[str, Int64]) -> Encoded:
        """Channel statistics of the training split; the pixels are stored as they are.

        Raises:
            UserError: if all training images are one plain colour.
        """
        mean, std = channel_statistics(self.read, splits["train"])
        inputs = ImageInputs(
            shape=[int(size) for size in self.parts[0].shape[1:]],
            bits=8 if self.parts[0].dtype == np.uint8 else 16,
            mean=mean,
            std=std,
            resize=self.resize,
            value_range=self.value_range,
        )
        signature = Signature(inputs=inputs, target=self.fitted_target(splits["train"]))
        return Encoded(signature, {name: self.subset(rows, self.read) for name, rows in splits.items()})

    def read(self, rows: Int64) -> Array:
        """Images by number: uint8 or uint16 [len(rows), C, H, W]."""
        if self.rows is not None:
            rows = self.rows[rows]
        if len(self.parts) == 1:
            return np.take(self.parts[0], rows, axis=0)
        first = np.cumsum([0, *(len(part) for part in self.parts)])
        part = np.searchsorted(first, rows, side="right") - 1
        out = np.empty((len(rows), *self.parts[0].shape[1:]), dtype=self.parts[0].dtype)
        for k in np.unique(part):
            at = np.flatnonzero(part == k)
            out[at] = self.parts[k][rows[at] - first[k]]
        return out


def channel_statistics(read: Callable[[Int64], Array], rows: Int64) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation of each channel over some images, pixels scaled to [0, 1].

    From exact integer sums, rounded once at the end: the same on every machine and in any order.

    Raises:
        UserError: if every channel is constant.
    """
    first = read(rows[:1])
    channels, largest = first.shape[1], int(np.iinfo(first.dtype).max)
    histogram = np.zeros((channels, largest + 1), dtype=np.int64)
    for start in range(0, len(rows), _CHUNK):
        chunk = read(rows[start : start + _CHUNK])
        for channel in range(channels):
            histogram[channel] += np.bincount(chunk[:, channel].reshape(-1), minlength=largest + 1)
    mean, std = [], []
    for counts in histogram.tolist():
        n = sum(counts)
        total = sum(value * count for value, count in enumerate(counts))
        squares = sum(value * value * count for value, count in enumerate(counts))
        spread = n * squares - total * total
        mean.append(total / (n * largest))
        std.append(math.sqrt(spread / (n * n * largest * largest)))
    if not any(std):
        raise UserError("all pixels of all training images are equal: there is nothing to learn", "look at the files")
    return mean, std
