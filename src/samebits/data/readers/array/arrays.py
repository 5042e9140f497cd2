"""Arrays that lie in a mapped file: statistics and encoding, for every reader of arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from samebits.base.errors import UserError
from samebits.data.readers.reader import Array, Encoded, Int64, Raw
from samebits.signature.array import ArrayDtype, ArrayInputs
from samebits.signature.signature import Signature

_CHUNK_BYTES = 32 << 20
"""Of float64 at a time."""


@dataclass(frozen=True, kw_only=True)
class RawArrays(Raw):
    """Samples of one shape and type.

    Attributes:
        values: [n, *shape], little-endian.
    """

    values: Array

    def encode(self, splits: Mapping[str, Int64]) -> Encoded:
        """Statistics of the training split; the values are stored as they are.

        Raises:
            UserError: if all training arrays are equal.
        """
        mean, std = axis_statistics(self.read, splits["train"])
        inputs = ArrayInputs(
            shape=[int(length) for length in self.values.shape[1:]],
            stored_dtype=cast(ArrayDtype, self.values.dtype.name),
            mean=mean,
            std=std,
        )
        signature = Signature(inputs=inputs, target=self.fitted_target(splits["train"]))
        return Encoded(signature, {name: self.subset(rows, self.read) for name, rows in splits.items()})

    def read(self, rows: Int64) -> Array:
        """Arrays by number: [len(rows), *shape]."""
        return np.take(self.values, rows, axis=0)


def axis_statistics(read: Callable[[Int64], Array], rows: Int64) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation over some arrays, for each place of their first axis.

    In float64, samples added in order and the places of one sample exactly: the same on every machine.

    Raises:
        UserError: if all arrays are equal.
    """
    places = int(read(rows[:1]).shape[1])
    mean = _means(read, rows, np.zeros((places, 1)), power=1)
    std = np.sqrt(_means(read, rows, mean[:, None], power=2))
    # The mean of equal values may be off by a rounding.
    std[std <= np.abs(mean) * len(rows) * np.finfo(np.float64).eps] = 0.0
    if not std.any():
        raise UserError("all training arrays are equal: there is nothing to learn", "look at the data")
    return [float(value) for value in mean], [float(value) for value in std]


def _means(read: Callable[[Int64], Array], rows: Int64, middle: Array, power: int) -> Array:
    """The mean of (value - middle) ** power for each place of the first axis, float64 [places]."""
    first = read(rows[:1])
    places, step = first.shape[1], max(1, _CHUNK_BYTES // (8 * first[0].size))
    total = np.zeros((places, first[0].size // places))
    for start in range(0, len(rows), step):
        chunk = read(rows[start : start + step])
        off = chunk.astype(np.float64).reshape(len(chunk), places, -1) - middle
        for each in off if power == 1 else np.square(off, out=off):
            total += each
    sums: Array = np.array([math.fsum(place) for place in total.tolist()])
    sums /= len(rows) * total.shape[1]
    return sums
