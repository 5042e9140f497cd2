"""Near-duplicate images by perceptual hash: the same picture at another size, quality or brightness.

The hash is the sign of the 63 lowest frequencies of the cosine transform of the grey image, each against their median
(Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010). Pairs that differ in at most 3
bits are then compared by their low frequencies in colour. All sums are of integers below 2**53: exact anywhere.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from samebits.data.sources import Array, Int64

MOST_PAIRS = 200_000
"""The search stops there: a film's frames are all alike."""

_SIDE = 8
_BANDS = 4
_BITS = 3
"""Hashes that differ in so many bits agree in one of four bands of 16 bits: only those are compared."""
_APART = 0.12
"""Largest distance of two images' low frequencies, relative to the larger norm."""
_CHUNK = 1024
_BLOCK = 2048

Floats = npt.NDArray[np.float64]


def find_pairs(read: Callable[[Int64], Array], count: int) -> tuple[list[tuple[int, int, int]], bool]:
    """Pairs of images that look the same.

    Args:
        read: image numbers -> uint8 [k, C, H, W].

    Returns:
        (first, second, bits that differ) with first < second, sorted; and whether the search stopped early.
    """
    hashes, low = _features(read, count)
    flat = hashes == 0
    found: dict[tuple[int, int], int] = {}
    for band in range(_BANDS):
        keys = (hashes >> np.uint64(16 * band)) & np.uint64(0xFFFF)
        order = np.argsort(keys, kind="stable")
        order = order[~flat[order]]
        for bucket in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
            for pair, bits in _alike(np.sort(bucket), hashes, low):
                found[pair] = bits
                if len(found) >= MOST_PAIRS:
                    return _sorted(found), True
    return _sorted(found), False


def _sorted(found: dict[tuple[int, int], int]) -> list[tuple[int, int, int]]:
    return sorted((first, second, bits) for (first, second), bits in found.items())


def _alike(rows: Int64, hashes: npt.NDArray[np.uint64], low: Floats) -> Iterator[tuple[tuple[int, int], int]]:
    """Pairs among a bucket's rows, a block against a block."""
    if len(rows) < 2:
        return
    starts = range(0, len(rows), _BLOCK)
    for a, b in itertools.combinations_with_replacement(starts, 2):
        first, second = rows[a : a + _BLOCK], rows[b : b + _BLOCK]
        bits = np.bitwise_count(hashes[first][:, None] ^ hashes[second][None, :])
        near = (bits <= _BITS) & (first[:, None] < second[None, :])
        for i, j in np.argwhere(near):
            x, y = low[first[i]], low[second[j]]
            scale = max(float(x @ x), float(y @ y))
            gap = x - y
            if float(gap @ gap) <= _APART**2 * scale:
                yield (int(first[i]), int(second[j])), int(bits[i, j])


def _features(read: Callable[[Int64], Array], count: int) -> tuple[npt.NDArray[np.uint64], Floats]:
    """Hashes uint64 [n], 0 for an image of one colour; low frequencies of each channel [n, C * 64]."""
    hashes, low = [], []
    for start in range(0, count, _CHUNK):
        images = read(np.arange(start, min(start + _CHUNK, count), dtype=np.int64)).astype(np.float64)
        rows, columns = _cosines(images.shape[2]), _cosines(images.shape[3])
        spectrum = rows @ images @ columns.T
        grey = spectrum.sum(axis=1).reshape(len(images), -1)[:, 1:]
        signs = grey > np.median(grey, axis=1, keepdims=True)
        bits = np.packbits(np.pad(signs, ((0, 0), (0, 1))), axis=1, bitorder="little").view("<u8")[:, 0]
        hashes.append(np.where(np.any(grey != 0, axis=1), bits, 0).astype(np.uint64))
        # The mean weighs as much as all else together where images are bright: only what varies is compared.
        varying = spectrum.reshape(len(images), images.shape[1], -1)[:, :, 1:]
        low.append(varying.reshape(len(images), -1))
    return np.concatenate(hashes), np.concatenate(low)


def _cosines(size: int) -> Floats:
    """The lowest basis functions of the cosine transform, in whole numbers of 1/256: [8, size]."""
    angles = [[math.pi * (2 * x + 1) * k / (2 * size) for x in range(size)] for k in range(_SIDE)]
    return np.array([[round(256 * math.cos(angle)) for angle in row] for row in angles], dtype=np.float64)
