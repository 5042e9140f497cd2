"""Logits of a split with the true classes, in parts that are read as often as wanted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rows = tuple[Floats, Ints]
"""Logits [n, K] and the true classes [n]."""

_IN_MEMORY = 128 << 20
"""Bytes of logits: 1,677 samples of 10,000 classes."""


class KeptRows:
    """Parts in their order. Logits of more than 128 MiB lie in a temporary file without a name."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - it goes with this object
        self._parts: list[tuple[tuple[int, ...], Ints]] = []
        """Shape of the logits, and the classes."""

    def append(self, logits: Floats, classes: Ints) -> None:
        """One more part; without a row it is none."""
        if len(classes):
            self._file.write(np.ascontiguousarray(logits).data)
            self._parts.append((logits.shape, classes))

    def __iter__(self) -> Iterator[Rows]:
        self._file.seek(0)
        for shape, classes in self._parts:
            logits = np.empty(shape)
            self._file.readinto(logits.data)
            yield logits, classes
