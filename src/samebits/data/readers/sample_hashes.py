"""The content of a sample as a hash: what splits, duplicates and the digest of the data rest on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint8]

HASH_BYTES = 32


def sample_hashes(images: npt.NDArray[Any], rows: Sequence[int] | None = None) -> Hashes:
    """SHA-256 of each sample's pixel bytes, little-endian, in C order: uint8 [n, 32]. `rows`: of these alone, in this
    order."""
    images = images.astype(images.dtype.newbyteorder("<"), copy=False)
    chosen = images if rows is None else (images[row] for row in rows)
    digests = b"".join(hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in chosen)
    return np.frombuffer(digests, dtype=np.uint8).reshape(-1, HASH_BYTES)


def hash_word(hashes: Hashes, word: int) -> npt.NDArray[np.uint64]:
    """One of the four words of the hashes, uint64 [n]; 0 is the first."""
    return np.ascontiguousarray(hashes).view(">u8")[:, word].astype(np.uint64)


def repeated(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Samples whose word another one has, too, ascending: of first words, all with the same content, and hardly any
    other."""
    ordered = np.sort(words)
    again = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    if not len(again):
        return np.empty(0, dtype=np.int64)
    place = np.minimum(np.searchsorted(again, words), len(again) - 1)
    return np.flatnonzero(again[place] == words)


def hash_words(hashes: Hashes) -> npt.NDArray[np.uint64]:
    """The hashes as big-endian words, uint64 [n, 4]: their order is the hashes' own order."""
    return np.ascontiguousarray(hashes).view(">u8").astype(np.uint64)
