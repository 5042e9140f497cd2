"""The order is a permutation, its own function, and the published generator's."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samebits.base.errors import UserError
from samebits.data.loading.order import (
    Stream,
    bucketed,
    epoch_order,
    permutation,
    philox4x32,
    random_words,
    sort_keys,
    steps_in_epoch,
    uniform,
)

# Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, result.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_philox_known_answers(counter: tuple[int, ...], key: tuple[int, int], result: tuple[int, ...]) -> None:
    assert tuple(philox4x32(np.array(counter, dtype=np.uint64)[:, None], key)[:, 0]) == result


def scalar_philox(counter: list[int], key: list[int]) -> list[int]:
    """The paper's algorithm in Python's integers, one counter at a time."""
    for _ in range(10):
        a, b = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = [(b >> 32) ^ counter[1] ^ key[0], b % 2**32, (a >> 32) ^ counter[3] ^ key[1], a % 2**32]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return counter


words = st.integers(0, 2**32 - 1)


@given(st.lists(st.tuples(words, words, words, words), min_size=1, max_size=9), st.tuples(words, words))
@settings(max_examples=60)
def test_philox_equals_the_scalar_algorithm(counters: list[tuple[int, ...]], key: tuple[int, int]) -> None:
    got = philox4x32(np.array(counters, dtype=np.uint64).T, key).T.tolist()
    assert got == [scalar_philox(list(counter), list(key)) for counter in counters]


def test_philox_leaves_its_argument_alone() -> None:
    counter = np.arange(12, dtype=np.uint64).reshape(4, 3)
    philox4x32(counter, (1, 2))
    assert counter.tolist() == np.arange(12).reshape(4, 3).tolist()


@given(
    st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20)
)
@settings(max_examples=60)
def test_uniform_belongs_to_the_sample(seed: int, epoch: int, indices: list[int]) -> None:
    index = np.array(indices, dtype=np.int64)
    together = uniform(seed, Stream.AUGMENT, epoch, index, 8)
    assert together.dtype == np.float32
    assert together.min() >= 0
    assert together.max() < 1
    alone = np.concatenate([uniform(seed, Stream.AUGMENT, epoch, index[i : i + 1], 8) for i in range(len(index))])
    assert np.array_equal(together, alone)
    # Asking for fewer numbers changes none of them.
    assert np.array_equal(together[:, :3], uniform(seed, Stream.AUGMENT, epoch, index, 3))


def test_the_largest_word_stays_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "samebits.data.loading.order.random_words", lambda *_: np.full((1, 4), 2**32 - 1, dtype=np.uint64)
    )
    assert uniform(0, Stream.AUGMENT, 0, np.array([0]), 4).max() < 1


def test_uniform_is_uniform() -> None:
    numbers = uniform(3, Stream.AUGMENT, 5, np.arange(20_000), 4)
    counts = np.stack([np.bincount((column * 20).astype(int), minlength=20) for column in numbers.T])
    # Chi-squared with 19 degrees of freedom: 43.8 has probability 0.001.
    assert (((counts - 1000) ** 2 / 1000).sum(axis=1) < 43.8).all()
    assert abs(np.corrcoef(numbers.T) - np.eye(4)).max() < 0.03


@pytest.mark.parametrize("changed", ["seed", "stream", "epoch"])
def test_everything_it_is_keyed_by_counts(changed: str) -> None:
    base = {"seed": 1, "stream": Stream.ROWS, "epoch": 2}
    other = base | {changed: {"seed": 1 + 2**32, "stream": Stream.SHARDS, "epoch": 3}[changed]}
    index = np.arange(50)
    assert (sort_keys(indices=index, **base) != sort_keys(indices=index, **other)).all()  # type: ignore[arg-type]


def test_a_sample_beyond_32_bits_has_numbers_of_its_own() -> None:
    near, far = (random_words(0, Stream.ROWS, 0, np.array([i])) for i in (5, 5 + 2**32))
    assert (near != far).all()


@given(st.integers(0, 400), st.integers(0, 2**64 - 1), st.integers(0, 1000))
@settings(max_examples=60)
def test_a_permutation_is_one(n: int, seed: int, epoch: int) -> None:
    order = permutation(n, seed, Stream.ROWS, epoch)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=12),
    st.integers(1, 14),
    st.sampled_from(["full", "window"]),
    st.integers(0, 99),
)
@settings(max_examples=100)
def test_an_epoch_visits_every_row_once(rows: list[int], window: int, shuffle: str, epoch: int) -> None:
    order = epoch_order(sum(rows), 7, epoch, shard_rows=tuple(rows), shuffle=shuffle, window=window)  # type: ignore[arg-type]
    assert sorted(order.tolist()) == list(range(sum(rows)))
    if shuffle == "window":
        # The rows of each run of `window` shards stand together.
        shard = np.repeat(np.arange(len(rows)), rows)[order]
        shards = permutation(len(rows), 7, Stream.SHARDS, epoch)
        at = 0
        for start in range(0, len(shards), window):
            chosen = shards[start : start + window]
            count = sum(rows[k] for k in chosen)
            assert set(shard[at : at + count]) <= set(chosen.tolist())
            at += count


def test_epochs_and_seeds_differ() -> None:
    orders = [epoch_order(200, seed, epoch, shard_rows=(200,)) for seed in (0, 1) for epoch in (0, 1)]
    assert all(not np.array_equal(a, b) for i, a in enumerate(orders) for b in orders[:i])


def test_the_bits_are_pinned() -> None:
    """Every model ever trained depends on these: a change here makes all old runs irreproducible."""
    digest = hashlib.sha256()
    for shuffle in ("full", "window"):
        digest.update(epoch_order(1000, 42, 3, shard_rows=(300, 300, 400), shuffle=shuffle, window=2).tobytes())  # type: ignore[arg-type]
    digest.update(uniform(42, Stream.AUGMENT, 3, np.arange(100), 8).tobytes())
    assert digest.hexdigest() == "0db20dbad0d58f1a1d590ec83fd18ebb04dcf33957ed267a4e0dd9cb34aa7067"


def test_wrong_arguments_are_refused() -> None:
    for seed in (-1, 2**64):
        with pytest.raises(ValueError, match="seed"):
            permutation(3, seed, Stream.ROWS, 0)
    with pytest.raises(ValueError, match="epoch"):
        permutation(3, 0, Stream.ROWS, 2**32)
    with pytest.raises(ValueError, match="shards of 2 rows"):
        epoch_order(3, 0, 0, shard_rows=(2,))
    with pytest.raises(ValueError, match="shuffle"):
        epoch_order(3, 0, 0, shard_rows=(3,), shuffle="half")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="window"):
        epoch_order(3, 0, 0, shard_rows=(3,), shuffle="window", window=0)


def test_steps_in_epoch() -> None:
    assert [steps_in_epoch(10, size) for size in (1, 3, 10)] == [10, 3, 1]
    with pytest.raises(UserError, match="batch_size 11 is larger than the training split of 10"):
        steps_in_epoch(10, 11)


def test_batches_of_like_length_hold_every_sample_once() -> None:
    lengths = permutation(1000, 3, Stream.ROWS, 7) % 97
    order = permutation(1000, 0, Stream.ROWS, 0)
    found = bucketed(order, lengths, batch_size=32, window=5, seed=0, epoch=0)
    steps = 1000 // 32
    assert sorted(found.tolist()) == sorted(order[: steps * 32].tolist())
    batches, plain = lengths[found].reshape(steps, 32), lengths[order[: steps * 32]].reshape(steps, 32)
    spread = (batches.max(axis=1) - batches.min(axis=1)).mean()
    assert spread < (plain.max(axis=1) - plain.min(axis=1)).mean() / 3
    # Neither short nor long ones come first.
    assert abs(np.corrcoef(np.arange(steps), batches.mean(axis=1))[0, 1]) < 0.5


def test_batches_of_like_length_stay_in_their_window_and_depend_on_seed_and_epoch() -> None:
    lengths = np.arange(64, dtype=np.int64) % 7
    order = permutation(64, 0, Stream.ROWS, 0)
    one = bucketed(order, lengths, batch_size=4, window=2, seed=0, epoch=0)
    windows = [set(order[start : start + 8].tolist()) for start in range(0, 64, 8)]
    assert all(any(set(batch) <= window for window in windows) for batch in one.reshape(-1, 4).tolist())
    np.testing.assert_array_equal(one, bucketed(order, lengths, batch_size=4, window=2, seed=0, epoch=0))
    assert (one != bucketed(order, lengths, batch_size=4, window=2, seed=1, epoch=0)).any()
    assert (one != bucketed(order, lengths, batch_size=4, window=2, seed=0, epoch=1)).any()
    assert len(bucketed(order, lengths, batch_size=65, window=2, seed=0, epoch=0)) == 0
