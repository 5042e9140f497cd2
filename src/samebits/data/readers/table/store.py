"""Columns of tables that need not fit in memory: beyond 131,072 rows they lie in files that are mapped.

They are in the reader's scratch folder and have no name, so that nothing is left of them. The system keeps of them in
memory what fits.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_IN_MEMORY = 1 << 17
"""Rows."""

PART = 1 << 16
"""Rows that are looked at together."""

Array = npt.NDArray[Any]


def parts(count: int) -> Iterator[slice]:
    """All rows, some at a time."""
    return (slice(start, min(start + PART, count)) for start in range(0, count, PART))


def new_array(shape: tuple[int, ...], dtype: npt.DTypeLike, folder: Path) -> Array:
    """An array to be filled, [rows, ...]."""
    if shape[0] <= _IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(dir=folder) as file:  # it goes with the last array that maps it
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape).view(np.ndarray)


def stored(array: Array, folder: Path) -> Array:
    """An array as such a one."""
    if len(array) <= _IN_MEMORY:
        return array
    found = new_array(array.shape, array.dtype, folder)
    found[:] = array
    return found


def picked(array: Array, rows: npt.NDArray[np.int64], folder: Path) -> Array:
    """Some rows of an array, ascending, each once; all of them are the array itself."""
    if len(rows) == len(array):
        return array
    found = new_array((len(rows), *array.shape[1:]), array.dtype, folder)
    for part in parts(len(rows)):
        found[part] = array[rows[part]]
    return found


class Gathered:
    """Arrow batches of one schema as they come, and the table of them all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[Any] = []
        self._rows = 0
        self._open = contextlib.ExitStack()
        self._path: Path | None = None
        self._writer: Any = None

    def __len__(self) -> int:
        return self._rows

    def add(self, batch: Any) -> None:
        """One more batch. Beyond 131,072 rows all go to disk."""
        self._waiting.append(batch)
        self._rows += len(batch)
        if self._rows <= _IN_MEMORY:
            return
        if self._writer is None:
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".arrow", delete=False) as file:
                self._path = Path(file.name)
            self._open.callback(self._path.unlink, missing_ok=True)
            self._writer = self._open.enter_context(pa.ipc.new_file(str(self._path), batch.schema))
        for each in self._waiting:
            self._writer.write_batch(each)
        self._waiting.clear()

    def table(self) -> Any:
        """Of at least one batch; a large one is mapped."""
        if self._path is None:
            return pa.Table.from_batches(self._waiting)
        self._writer.close()
        with self._open, pa.memory_map(str(self._path)) as file:
            return pa.ipc.open_file(file).read_all()
