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


def hash_words(hashes: Hashes) -> npt.NDArray[np.uint64]:
    """The hashes as big-endian words, uint64 [n, 4]: their order is the hashes' own order."""
    return np.ascontiguousarray(hashes).view(">u8").astype(np.uint64)
