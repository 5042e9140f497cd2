"""The cells of a column as text, some rows at a time: counted, coded, and what a sample's hash is made of."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from samebits.data.readers.table.store import parts

Int64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST_COUNTED = 1 << 17
"""Different texts of a column that are counted; of more, those of each part are looked at again."""


class Texts(ABC):
    """The cells of a column as text, "" where missing; what a sample's hash is made of."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def part(self, rows: slice) -> list[str]:
        """Of some rows that follow each other."""

    def __getitem__(self, row: int) -> str:
        return self.part(slice(row, row + 1))[0]

    def __iter__(self) -> Iterator[str]:
        return (text for rows in parts(len(self)) for text in self.part(rows))


class Cells(Texts):
    """A column of text."""

    def __init__(self, column: Any, missing: Iterable[str]) -> None:
        """
        Args:
            column: arrow strings, or what can be cast to them, [n]; blanks around them do not count.
            missing: the texts that say that a value is missing.
        """
        self._column = column
        self._gone = frozenset(missing)

    def __len__(self) -> int:
        return len(self._column)

    def part(self, rows: slice) -> list[str]:
        return ["" if text is None or text in self._gone else text for text in self._strings(rows).to_pylist()]

    def coded(self, rows: slice) -> tuple[Int64, list[str], dict[str, Int64]]:
        """Some rows as a dictionary: codes int64 [k] into texts, -1 where missing; and rows of each text that says so
        (empty cells are no text)."""
        encoded = pc.dictionary_encode(self._strings(rows))
        texts = encoded.dictionary.to_pylist()
        indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        marks = {
            text: rows.start + np.flatnonzero(indices == at)
            for at, text in enumerate(texts)
            if text and text in self._gone
        }
        kept = [text for text in texts if text not in self._gone]
        place = {text: at for at, text in enumerate(kept)}
        lookup = np.array([place.get(text, -1) for text in texts] + [-1], dtype=np.int64)
        return lookup[indices], kept, marks

    @functools.cached_property
    def _few(self) -> Counter[str] | None:
        """How often each text is there that is not missing; None where there are many."""
        found = Counter[str]()
        for counts in self._counts():
            found.update(counts)
            if len(found) > MOST_COUNTED:
                return None
        return found

    @property
    def different(self) -> list[str]:
        """The texts that are not missing, sorted."""
        return sorted(set(self.labels()))

    def counts(self) -> Iterator[tuple[str, int]]:
        """Texts that are not missing, each at least once, and how often; of many, in several numbers."""
        found: Iterable[dict[str, int]] = self._counts() if self._few is None else [self._few]
        return (each for counts in found for each in counts.items())

    def labels(self) -> Iterator[str]:
        """Texts that are not missing, each at least once."""
        return (text for text, _ in self.counts())

    def _counts(self) -> Iterator[dict[str, int]]:
        for rows in parts(len(self)):
            codes, texts, _ = self.coded(rows)
            yield dict(zip(texts, np.bincount(codes[codes >= 0], minlength=len(texts)).tolist(), strict=True))

    def _strings(self, rows: slice) -> Any:
        found = self._column.slice(rows.start, rows.stop - rows.start)
        found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
        return pc.utf8_trim_whitespace(found.cast(pa.string()))


class Written(Texts):
    """A column of numbers or of seconds as Python writes them."""

    def __init__(self, values: npt.NDArray[Any], missing: Bools) -> None:
        self._values, self._missing = values, missing

    def __len__(self) -> int:
        return len(self._values)

    def part(self, rows: slice) -> list[str]:
        pairs = zip(self._values[rows].tolist(), self._missing[rows].tolist(), strict=True)
        return ["" if missing else repr(value) for value, missing in pairs]
