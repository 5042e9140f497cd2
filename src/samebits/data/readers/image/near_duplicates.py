"""Near-duplicate images by perceptual hash: the same picture at another size, quality or brightness.

The hash is the sign of the 63 lowest frequencies of the cosine transform of the grey image, each against their median
(Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010). Pairs that differ in at most 3
bits are then compared by their low frequencies in colour. All sums are of integers below 2**53: exact anywhere.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from samebits.compute.cpu import cores
from samebits.data.readers.reader import Array, Int64

MOST_PAIRS = 200_000
"""The search stops there: a film's frames are all alike."""

_SIDE = 8
_ONE = 256
_EXACT_BITS = 53
"""Of whole numbers that float64 holds."""
_BITS = 3
"""Hashes that differ in at most this many bits agree in all but three of any parts of them: only those that do are
compared."""
_WIDTH = 64
_PARTS = ((1 << 18, 4), (1 << 24, 5), (1 << 29, 6))
"""Up to how many images hashes are cut into how many parts. Of four, one agrees, 16 bits, in one of four tables; of
five, two, 25 bits, in one of ten; of six, three, 31 bits, in one of twenty: so an image has few to be compared with."""
_APART = 0.12
"""Largest distance of two images' low frequencies, relative to the larger norm."""
_CHUNK = 128
"""Images whose frequencies are computed at once: few enough to stay in a core's cache."""
_BLOCK = 2048
_MOST_NEAR = 1 << 21
"""Pairs of near hashes of one bucket that are found before the first of them is looked at."""
_COMPARED = 1024
"""Pairs whose frequencies are compared at once."""
_ROUNDING = 1e-9
"""Far more than two orders of a sum of some hundred squares can differ by, relative to the sum."""
_FEW = 16
"""Buckets up to this size are compared in one vectorised pass; a numpy call per bucket cost more than comparing."""

Floats = npt.NDArray[np.float64]


def find_pairs(
    read: Callable[[Int64], Array], count: int, scratch: Path | None = None
) -> tuple[list[tuple[int, int, int]], bool]:
    """Pairs of images that look the same.

    Args:
        read: image numbers -> uint8 or uint16 [k, C, H, W]; called by several threads at once.
        scratch: a folder for what grows with the number of images (1.5 KB each in colour); None: in memory.

    Returns:
        (first, second, bits that differ) with first < second, sorted; and whether the search stopped early.
    """
    hashes, low = _features(read, count, scratch)
    flat = hashes == 0
    found: dict[tuple[int, int], int] = {}
    tables = _tables(count)
    for number, table in enumerate(tables):
        keys = hashes & table
        order = np.argsort(keys, kind="stable")
        order = order[~flat[order]]
        for near in _near_in_buckets(order, keys[order], hashes, table):
            new = near[~_met_before(near, hashes, tables[:number])]
            for start in range(0, len(new), _COMPARED):
                piece = new[start : start + _COMPARED]
                for first, second, bits in piece[_same_pictures(piece[:, 0], piece[:, 1], low)].tolist():
                    found[first, second] = bits
                    if len(found) >= MOST_PAIRS:
                        return _sorted_pairs(found), True
    return _sorted_pairs(found), False


def _tables(count: int) -> list[np.uint64]:
    """The bits of each table's key, as a mask: each choice of all but three parts."""
    parts = next((parts for most, parts in _PARTS if count <= most), 7)
    masks = _cut((1 << _WIDTH) - 1, parts)
    return [np.uint64(sum(chosen)) for chosen in itertools.combinations(masks, parts - _BITS)]


def _cut(bits: int, parts: int) -> list[int]:
    """The bits of a mask in parts of neighbours, the lowest first; as masks."""
    places = [place for place in range(_WIDTH) if bits >> place & 1]
    borders = [len(places) * part // parts for part in range(parts + 1)]
    return [sum(1 << place for place in places[a:b]) for a, b in itertools.pairwise(borders)]


def _met_before(near: Int64, hashes: npt.NDArray[np.uint64], earlier: Sequence[np.uint64]) -> npt.NDArray[np.bool_]:
    """Of each pair [n, 3], whether it was compared in an earlier table: equal images agree in all."""
    differing = hashes[near[:, 0]] ^ hashes[near[:, 1]]
    met = np.zeros(len(near), dtype=np.bool_)
    for table in earlier:
        met |= differing & table == 0
    return met


def _near_in_buckets(
    order: Int64, keys: npt.NDArray[np.uint64], hashes: npt.NDArray[np.uint64], table: np.uint64
) -> Iterator[Int64]:
    """Pairs of near hashes among images of equal key, key by key: int64 [n, 3] of first, second, bits.

    Args:
        order: image numbers, sorted by key and, within a key, ascending; `keys`: theirs.
    """
    borders = np.flatnonzero(np.diff(keys)) + 1
    starts = np.concatenate([[0], borders]) if len(order) else np.empty(0, dtype=np.int64)
    sizes = np.diff(np.concatenate([starts, [len(order)]]))
    small = _near_in_small(order, starts, sizes, hashes)
    at = 0
    # Bucket by bucket: the order of the pairs decides which are found before the search stops.
    for bucket in np.flatnonzero(sizes > _FEW).tolist():
        before = int(np.searchsorted(small[:, 0], bucket))
        yield small[at:before, 1:]
        at = before
        yield from _near_in_large(order[starts[bucket] : starts[bucket] + sizes[bucket]], hashes, table)
    yield small[at:, 1:]


def _near_in_small(order: Int64, starts: Int64, sizes: Int64, hashes: npt.NDArray[np.uint64]) -> Int64:
    """Pairs of near hashes in the buckets of at most `_FEW`: int64 [n, 4] of bucket, first, second, bits; sorted."""
    found = [np.empty((0, 4), dtype=np.int64)]
    for distance in range(1, _FEW):
        buckets = np.flatnonzero((sizes > distance) & (sizes <= _FEW))
        if not len(buckets):
            break
        # The places in `order` that have another of their bucket so far behind them.
        counts = sizes[buckets] - distance
        of = np.repeat(buckets, counts)
        place = starts[of] + np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
        first, second = order[place], order[place + distance]
        bits = _bits_apart(hashes[first], hashes[second])
        near = np.flatnonzero(bits <= _BITS)
        found.append(np.stack([of[near], first[near], second[near], bits[near].astype(np.int64)], axis=1))
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 2], pairs[:, 1], pairs[:, 0]))]


def _sorted_pairs(found: dict[tuple[int, int], int]) -> list[tuple[int, int, int]]:
    return sorted((first, second, bits) for (first, second), bits in found.items())


def _near_in_large(rows: Int64, hashes: npt.NDArray[np.uint64], table: np.uint64) -> Iterator[Int64]:
    """Pairs of near hashes among a bucket's rows: int64 [n, 3] of first, second, bits; a block against a block."""
    mine = hashes[rows]
    if len(rows) > _BLOCK and (near := _near_by_parts(mine, table)) is not None:
        near[:, :2] = rows[near[:, :2]]
        yield near
        return
    for a, b in itertools.combinations_with_replacement(range(0, len(rows), _BLOCK), 2):
        first, second = rows[a : a + _BLOCK], rows[b : b + _BLOCK]
        bits = _bits_apart(mine[a : a + _BLOCK, None], mine[None, b : b + _BLOCK])
        i, j = np.nonzero((bits <= _BITS) & (first[:, None] < second[None, :]))
        yield np.stack([first[i], second[j], bits[i, j].astype(np.int64)], axis=1)


def _near_by_parts(hashes: npt.NDArray[np.uint64], table: np.uint64) -> Int64 | None:
    """Pairs of near hashes that agree in a table's bits, as blocks against blocks would find them: int64 [n, 3] of
    places.

    What differs lies in the other bits: at least one of four parts of them agrees, so only those are compared. None
    where that is no help, as so many are alike.
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    for part in _cut(int(~table), _BITS + 1):
        keys = hashes & np.uint64(part)
        order = np.argsort(keys, kind="stable")
        _, at, sizes = np.unique(keys[order], return_index=True, return_counts=True)
        if (sizes.astype(np.float64) ** 2).sum() > len(hashes) ** 2 / 8:
            return None
        behind = np.repeat(at + sizes, sizes)  # of each place in `order`: where its key ends
        places = np.arange(len(order))
        for distance in range(1, int(sizes.max())):
            places = places[places + distance < behind[places]]
            first, second = order[places], order[places + distance]
            near = np.flatnonzero(_bits_apart(hashes[first], hashes[second]) <= _BITS)
            found.append(np.stack([first[near], second[near]], axis=1))
        if sum(map(len, found)) > _MOST_NEAR:
            return None
    pairs = np.unique(np.concatenate(found), axis=0)
    first, second = pairs[:, 0], pairs[:, 1]
    pairs = pairs[np.lexsort((second, first, second // _BLOCK, first // _BLOCK))]
    bits = _bits_apart(hashes[pairs[:, 0]], hashes[pairs[:, 1]]).astype(np.int64)
    return np.column_stack([pairs, bits])


def _bits_apart(x: npt.NDArray[np.uint64], y: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """In how many bits hashes differ."""
    bits: npt.NDArray[np.uint8] = np.bitwise_count(x ^ y)
    return bits


def _same_pictures(first: Int64, second: Int64, low: Floats) -> npt.NDArray[np.bool_]:
    """Of each pair, whether its images' low frequencies are close."""
    x, y = low[first], low[second]
    gap = x - y
    apart = np.einsum("ij,ij->i", gap, gap)
    allowed = _APART**2 * np.maximum(np.einsum("ij,ij->i", x, x), np.einsum("ij,ij->i", y, y))
    same: npt.NDArray[np.bool_] = apart <= allowed
    # How numpy orders a sum of many rows is its own matter: where that could decide, a pair is summed by itself.
    for close in np.flatnonzero(np.abs(apart - allowed) <= _ROUNDING * allowed):
        same[close] = _same_picture(x[close], y[close])
    return same


def _same_picture(x: Floats, y: Floats) -> bool:
    gap = x - y
    return float(gap @ gap) <= _APART**2 * max(float(x @ x), float(y @ y))


def _features(
    read: Callable[[Int64], Array], count: int, scratch: Path | None
) -> tuple[npt.NDArray[np.uint64], Floats]:
    """Hashes uint64 [n], 0 for an image of one colour; low frequencies of each channel [n, C * 63]."""
    hashes = np.zeros(count, dtype=np.uint64)
    first = read(np.arange(min(count, 1), dtype=np.int64))
    shape = (count, first.shape[1] * (_SIDE * _SIDE - 1))
    low: Floats
    if scratch is None or not count:
        low = np.empty(shape)
    else:
        mapped = np.lib.format.open_memmap(scratch / "frequencies.npy", mode="w+", dtype=np.float64, shape=shape)
        low = np.asarray(mapped)  # the same bytes, without the cost of a memmap's own indexing
    rows, columns = _cosines(first.shape[2]), _cosines(first.shape[3])
    # Bits that are left out where the sums would not be exact: of large images of 16 bits and many channels.
    shift = max(0, int(np.iinfo(first.dtype).max * first[0].size * _ONE**2).bit_length() - _EXACT_BITS) if count else 0

    def compute(start: int) -> None:
        stop = min(start + _CHUNK, count)
        images = (read(np.arange(start, stop, dtype=np.int64)) >> shift).astype(np.float64)
        spectrum = rows @ images @ columns.T
        grey = spectrum.sum(axis=1).reshape(len(images), -1)[:, 1:]
        signs = grey > np.median(grey, axis=1, keepdims=True)
        bits = np.packbits(np.pad(signs, ((0, 0), (0, 1))), axis=1, bitorder="little").view("<u8")[:, 0]
        hashes[start:stop] = np.where(np.any(grey != 0, axis=1), bits, 0)
        # The mean weighs as much as all else together where images are bright: only what varies is compared.
        low[start:stop] = spectrum.reshape(len(images), first.shape[1], -1)[:, :, 1:].reshape(len(images), -1)

    # Threads: numpy lets go of the interpreter while it computes.
    with ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(compute, range(0, count, _CHUNK)):
            pass
    return hashes, low


def _cosines(size: int) -> Floats:
    """The lowest basis functions of the cosine transform, in whole numbers of 1/`_ONE`: [8, size]."""
    angles = [[math.pi * (2 * x + 1) * k / (2 * size) for x in range(size)] for k in range(_SIDE)]
    return np.array([[round(_ONE * math.cos(angle)) for angle in row] for row in angles], dtype=np.float64)
