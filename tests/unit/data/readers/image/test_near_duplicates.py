from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from samebits.data.readers.image import near_duplicates
from samebits.data.readers.image.near_duplicates import find_pairs

Images = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def images() -> Images:
    """Unrelated ones, variations of some (small buckets), many of a single one (a large bucket), and plain ones."""
    random = np.random.default_rng(0)
    base = random.integers(0, 256, (400, 3, 12, 10), dtype=np.uint8)

    def varied(rows: npt.NDArray[np.int64], by: int) -> Images:
        noise = random.integers(-by, by + 1, (len(rows), 3, 12, 10))
        return np.clip(base[rows].astype(np.int64) + noise, 0, 255).astype(np.uint8)

    alike = varied(random.integers(0, 100, 150), 9)
    many = varied(np.zeros(40, dtype=np.int64), 3)
    found = np.concatenate([base, alike, many, np.full((5, 3, 12, 10), 7, np.uint8)])
    shuffled: Images = found[random.permutation(len(found))]
    return shuffled


def reader(images: Images) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]:
    return lambda rows: images[rows]


def each_with_each(images: Images) -> list[tuple[int, int, int]]:
    """The definition: at most 3 bits apart (so that a band of 16 is equal), and close in their frequencies."""
    hashes, low = near_duplicates._features(reader(images), len(images), None)
    found = []
    for first in range(len(images)):
        for second in range(first + 1, len(images)):
            bits = int(np.bitwise_count(hashes[first] ^ hashes[second]))
            if bits <= 3 and hashes[first] and hashes[second]:
                x, y = low[first], low[second]
                if float((x - y) @ (x - y)) <= 0.12**2 * max(float(x @ x), float(y @ y)):
                    found.append((first, second, bits))
    return found


@pytest.mark.parametrize("on_disk", [True, False])
def test_all_pairs_are_found_whatever_the_size_of_a_bucket(images: Images, on_disk: bool, tmp_path: Path) -> None:
    expected = each_with_each(images)
    assert len(expected) > 800
    assert find_pairs(reader(images), len(images), tmp_path if on_disk else None) == (expected, False)


@pytest.mark.parametrize("few", [0, 2, 1000])
def test_small_buckets_together_are_as_each_by_itself(
    images: Images, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in which pairs are found first, when the search stops early."""
    for most in (100, 500, 10_000):
        monkeypatch.setattr(near_duplicates, "MOST_PAIRS", most)
        expected = find_pairs(reader(images), len(images))
        with monkeypatch.context() as patch:
            patch.setattr(near_duplicates, "_FEW", few)
            assert find_pairs(reader(images), len(images)) == expected


def test_no_images_have_no_pairs(tmp_path: Path) -> None:
    assert find_pairs(reader(np.empty((0, 3, 8, 8), dtype=np.uint8)), 0, tmp_path) == ([], False)
    assert find_pairs(reader(np.zeros((1, 1, 8, 8), dtype=np.uint8)), 1, tmp_path) == ([], False)


def test_many_pairs_at_once_are_judged_as_each_by_itself(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = find_pairs(reader(images), len(images))
    monkeypatch.setattr(near_duplicates, "_ROUNDING", np.inf)
    assert find_pairs(reader(images), len(images)) == expected
    monkeypatch.setattr(near_duplicates, "_COMPARED", 3)
    assert find_pairs(reader(images), len(images)) == expected


def test_a_pair_is_compared_once_in_however_many_bands_it_agrees(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []
    compare = near_duplicates._same_pictures

    def counting(first: npt.NDArray[Any], second: npt.NDArray[Any], low: npt.NDArray[Any]) -> npt.NDArray[Any]:
        compared.extend(zip(first.tolist(), second.tolist(), strict=True))
        return compare(first, second, low)

    monkeypatch.setattr(near_duplicates, "_same_pictures", counting)
    found, _ = find_pairs(reader(images), len(images))
    assert len(compared) == len(set(compared))
    assert {(first, second) for first, second, _ in found} <= set(compared)


@pytest.mark.parametrize("block", [3, 16, 64])
def test_parts_of_a_large_bucket_give_what_comparing_each_with_each_does(
    images: Images, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in which pairs are found first, when the search stops early."""
    monkeypatch.setattr(near_duplicates, "_FEW", 0)
    monkeypatch.setattr(near_duplicates, "_BLOCK", block)
    for most in (100, 500, 10_000):
        monkeypatch.setattr(near_duplicates, "MOST_PAIRS", most)
        found = find_pairs(reader(images), len(images))
        with monkeypatch.context() as patch:
            patch.setattr(near_duplicates, "_near_by_parts", lambda *_: None)
            assert find_pairs(reader(images), len(images)) == found


@pytest.mark.parametrize("band", range(4))
def test_a_large_bucket_is_not_compared_each_with_each(band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(band)
    count = 8_000
    hashes = random.integers(0, 1 << 63, count, dtype=np.uint64)
    hashes[count // 2 :] = hashes[: count // 2]
    for _ in range(4):  # so that some are 3 bits from another, and some are 4
        hashes[count // 2 :] ^= np.uint64(1) << random.integers(0, 63, count // 2, dtype=np.uint64)
    word = np.uint64(0xFFFF << 16 * band)
    hashes = (hashes & ~word) | (np.uint64(5 << 16 * band) & word)
    compared = 0
    apart = near_duplicates._bits_apart

    def counting(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[Any]:
        nonlocal compared
        bits = apart(x, y)
        compared += bits.size
        return bits

    monkeypatch.setattr(near_duplicates, "_bits_apart", counting)
    rows, table = np.arange(count), near_duplicates._tables(0)[band]
    found = np.concatenate(list(near_duplicates._near_in_large(rows, hashes, table)))
    assert compared < count**2 / 2 / 100
    monkeypatch.setattr(near_duplicates, "_near_by_parts", lambda *_: None)
    wanted = np.concatenate(list(near_duplicates._near_in_large(rows, hashes, table)))
    assert np.array_equal(found, wanted)
    assert set(found[:, 2].tolist()) >= {0, 1, 2, 3}


def test_a_bucket_of_hashes_that_are_all_alike_is_read_in_blocks() -> None:
    hashes = np.full(10_000, 7, dtype=np.uint64)
    assert near_duplicates._near_by_parts(hashes, near_duplicates._tables(0)[0]) is None


@pytest.mark.parametrize("parts", [4, 5, 6, 7])
def test_however_many_parts_hashes_have_the_same_pairs_are_found(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs that are 0 to 6 bits apart, anywhere: those of up to three are found, each once."""
    monkeypatch.setattr(near_duplicates, "_PARTS", ((1 << 40, parts),))
    random = np.random.default_rng(parts)
    hashes = random.integers(1, 1 << 63, 300, dtype=np.uint64)
    for row in range(0, 300, 2):
        flips = random.choice(63, row // 2 % 7, replace=False)
        hashes[row + 1] = hashes[row] ^ np.bitwise_or.reduce(np.uint64(1) << flips.astype(np.uint64), initial=0)
    monkeypatch.setattr(near_duplicates, "_features", lambda *_: (hashes, np.ones((300, 63))))
    found, more = find_pairs(lambda _: np.empty(0), 300)
    near = np.bitwise_count(hashes[:, None] ^ hashes[None])
    wanted = [(a, b, int(near[a, b])) for a in range(300) for b in range(a + 1, 300) if near[a, b] <= 3]
    assert found == wanted
    assert len(wanted) > 80
    assert not more


def test_a_million_images_have_few_to_be_compared_with_each() -> None:
    tables = near_duplicates._tables(1_000_000)
    least = min(int(table).bit_count() for table in tables)
    assert len(tables) * 1_000_000 / 2**least < 1
