"""The order of samples and every random number of the input pipeline, as pure functions.

Random numbers come from Philox4x32-10, a counter-based generator: the numbers of a sample are a function of
(seed, stream, epoch, sample index) and of nothing else, so there is no generator state to save, and neither
the number of workers nor an interruption changes them. numpy's own `Philox` yields one sequence a key;
this one is evaluated for a whole array of counters at once.

Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC '11. Checked against the known-answer vectors of the authors' Random123 library.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError

Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]

_ROUNDS = 10
_MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], dtype=np.uint64)
_WEYL = np.arange(_ROUNDS, dtype=np.uint64)[:, None] * np.array([0x9E3779B9, 0xBB67AE85], dtype=np.uint64)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_WORDS = 4
_SHUFFLES = ("full", "window")


class Stream(IntEnum):
    """What a random number is for. Two purposes never share a counter. Values are part of the result's bits."""

    ROWS = 1
    SHARDS = 2
    AUGMENT = 3
    BATCHES = 4
    OWN_AUGMENT = 5


def philox4x32(counter: UInt64, key: tuple[int, int]) -> UInt64:
    """Philox4x32-10 of many counters under one key.

    Args:
        counter: [4, n] uint64, each a 32-bit word c0..c3.
        key: two 32-bit words.

    Returns:
        [4, n] uint64, each a random 32-bit word.
    """
    # Words 0 and 2 are multiplied, 1 and 3 are not: two arrays of two rows halve the number of numpy calls.
    left, right = counter[0::2], counter[1::2]
    keys = (np.array(key, dtype=np.uint64) + _WEYL) & _LOW
    for round_key in keys[:, :, None]:
        product = (left * _MULTIPLIERS)[::-1]
        left = product >> _HALF
        left ^= right
        left ^= round_key
        right = product
        right &= _LOW
    return np.stack([left[0], right[0], left[1], right[1]])


def random_words(seed: int, stream: Stream, epoch: int, indices: Int64, blocks: int = 1) -> UInt64:
    """Random 32-bit words of samples: [n, 4 * blocks] uint64.

    Args:
        seed: 0 .. 2**64 - 1.
        epoch: 0 .. 2**32 - 1.
        indices: int64 [n], not negative.
        blocks: Philox evaluations a sample; the first 4 words do not depend on how many follow.
    """
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed {seed} is outside 0 .. 2**64 - 1")
    if not 0 <= epoch < 1 << 32:
        raise ValueError(f"epoch {epoch} is outside 0 .. 2**32 - 1")
    index = np.asarray(indices, dtype=np.int64).astype(np.uint64)
    counter = np.empty((_WORDS, len(index), blocks), dtype=np.uint64)
    counter[0] = (index & _LOW)[:, None]
    counter[1] = (index >> _HALF)[:, None]
    counter[2] = epoch
    counter[3] = np.arange(blocks, dtype=np.uint64) + np.uint64(int(stream) << 24)
    words = philox4x32(counter.reshape(_WORDS, -1), (seed & 0xFFFFFFFF, seed >> 32))
    return words.reshape(_WORDS, len(index), blocks).transpose(1, 2, 0).reshape(len(index), _WORDS * blocks)


def uniform(seed: int, stream: Stream, epoch: int, indices: Int64, k: int) -> npt.NDArray[np.float32]:
    """Uniform numbers in [0, 1) with 24 random bits: float32 [n, k], row i for sample indices[i]."""
    words = random_words(seed, stream, epoch, indices, -(-k // _WORDS))[:, :k]
    # 24 bits fit a float32's significand exactly, so no rounding can reach 1.
    return (words >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)


def sort_keys(seed: int, stream: Stream, epoch: int, indices: Int64) -> UInt64:
    """Random 64-bit keys of samples, uint64 [n]; sorting by them is a random permutation."""
    words = random_words(seed, stream, epoch, indices)
    return (words[:, 0] << _HALF) | words[:, 1]


def permutation(n: int, seed: int, stream: Stream, epoch: int) -> Int64:
    """A permutation of 0 .. n-1, int64 [n].

    A stable sort of random keys, not numpy's shuffle: the result does not depend on numpy's version.
    """
    return np.argsort(sort_keys(seed, stream, epoch, np.arange(n, dtype=np.int64)), kind="stable").astype(np.int64)


def epoch_order(
    n: int,
    seed: int,
    epoch: int,
    *,
    shard_rows: tuple[int, ...],
    shuffle: Literal["full", "window"] = "full",
    window: int = 8,
) -> Int64:
    """The order of an epoch: every sample of the split once, int64 [n].

    Args:
        n: samples in the split.
        shard_rows: rows of each shard, in order; their sum is n.
        shuffle: `full` is a permutation of the split. `window` permutes the shards, then the rows within
            windows of `window` consecutive permuted shards, so that only so many shards are read at a time.
        window: shards a window, for `window`.
    """
    if shuffle not in _SHUFFLES:
        raise ValueError(f"shuffle {shuffle!r} is none of {_SHUFFLES}")
    if sum(shard_rows) != n:
        raise ValueError(f"shards of {sum(shard_rows)} rows for a split of {n}")
    if shuffle == "full":
        return permutation(n, seed, Stream.ROWS, epoch)
    if window < 1:
        raise ValueError(f"window {window} is less than 1")
    first = np.concatenate([[0], np.cumsum(shard_rows)])
    shards = permutation(len(shard_rows), seed, Stream.SHARDS, epoch)
    parts: list[Int64] = []
    for start in range(0, len(shards), window):
        chosen = shards[start : start + window]
        rows = np.concatenate([np.arange(first[s], first[s + 1], dtype=np.int64) for s in chosen])
        parts.append(rows[np.argsort(sort_keys(seed, Stream.ROWS, epoch, rows), kind="stable")])
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def bucketed(order: Int64, lengths: Int64, *, batch_size: int, window: int, seed: int, epoch: int) -> Int64:
    """An epoch's order such that a batch holds samples of like length: int64 [steps * batch_size].

    Within windows of so many batches the samples are sorted by length; then whole batches are permuted, so that neither
    short nor long ones come first. What the last partial batch would have held is left out before, as it is without
    this: it does not depend on length. With a window of an epoch, batches are as alike as can be; a smaller one mixes
    more.

    Args:
        order: a permutation of the samples, int64 [n].
        lengths: of each sample, int64 [n].
        window: batches a window.
    """
    steps = len(order) // batch_size
    whole, size = order[: steps * batch_size], window * batch_size
    parts = [whole[start : start + size] for start in range(0, len(whole), size)]
    # A stable sort: samples of one length stay in the random order.
    rows = [part[np.argsort(lengths[part], kind="stable")] for part in parts]
    batches = np.concatenate(rows).reshape(steps, batch_size) if rows else whole.reshape(0, batch_size)
    return batches[permutation(steps, seed, Stream.BATCHES, epoch)].reshape(-1)


def steps_in_epoch(n: int, batch_size: int) -> int:
    """Updates an epoch; the last partial batch is dropped, so that every update weighs the same.

    Raises:
        UserError: if the split is smaller than a batch.
    """
    if batch_size < 1:
        raise ValueError(f"batch size {batch_size} is less than 1")
    if n < batch_size:
        raise UserError(
            f"train.batch_size {batch_size} is larger than the training split of {n} samples",
            f"set train.batch_size to at most {n}",
        )
    return n // batch_size
