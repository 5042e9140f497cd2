"""The validation split belongs to the content of a sample."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samebits.data.split import check_splits, sample_hashes, validation_mask
from samebits.errors import UserError


def some(n: int, seed: int = 0) -> np.typing.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, 1, 4, 3), dtype=np.uint8)


def test_a_hash_is_the_pixels_sha256() -> None:
    images = some(3)
    assert [bytes(h).hex() for h in sample_hashes(images)] == [hashlib.sha256(i.tobytes()).hexdigest() for i in images]
    # The memory layout is not content.
    assert np.array_equal(sample_hashes(np.asfortranarray(images)), sample_hashes(images))
    assert sample_hashes(images[:0]).shape == (0, 32)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=30), st.floats(0.001, 0.999))
@settings(max_examples=60)
def test_the_mask_is_the_stated_comparison(digests: list[bytes], fraction: float) -> None:
    hashes = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32)
    expected = [int.from_bytes(digest[:8], "big") < int(fraction * 2**64) for digest in digests]
    assert validation_mask(hashes, fraction).tolist() == expected


def test_new_samples_and_another_order_move_nothing() -> None:
    old, new = some(500), some(300, seed=1)
    order = np.random.default_rng(2).permutation(800)
    together = validation_mask(sample_hashes(np.concatenate([old, new])[order]), 0.1)
    assert np.array_equal(together[np.argsort(order)][:500], validation_mask(sample_hashes(old), 0.1))


def test_a_larger_share_only_adds() -> None:
    hashes = sample_hashes(some(2000))
    small, large = validation_mask(hashes, 0.05), validation_mask(hashes, 0.2)
    assert (large | ~small).all()
    # 4 standard deviations of the binomial.
    assert abs(large.sum() - 400) < 4 * (2000 * 0.2 * 0.8) ** 0.5


def test_duplicates_stay_together() -> None:
    images = some(200)
    mask = validation_mask(sample_hashes(np.concatenate([images, images])), 0.3)
    assert np.array_equal(mask[:200], mask[200:])


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_fraction_outside_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        validation_mask(sample_hashes(some(2)), fraction)


def labels(*values: int) -> np.typing.NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize(
    ("train", "validation", "problem", "cure"),
    [
        (labels(0, 1), labels(), "the validation split is empty", "raise data.validation_fraction"),
        (labels(0, 0), labels(0), "class 'cat' has no sample in the training split", "add samples"),
        (labels(0, 0), labels(1), "class 'cat' has no sample in the training split", "lower data.validation_fraction"),
        (labels(), labels(0, 1), "class 'dog', 'cat' has no sample", "lower data.validation_fraction"),
    ],
)
def test_splits_that_cannot_be_trained_on(
    train: np.typing.NDArray[np.int64], validation: np.typing.NDArray[np.int64], problem: str, cure: str
) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        check_splits({"train": train, "validation": validation}, ("dog", "cat"), 0.1)
    assert cure in caught.value.cure


def test_good_splits_pass() -> None:
    check_splits({"train": labels(0, 1), "validation": labels(1)}, ("dog", "cat"), 0.1)
