"""The validation split belongs to the content of a sample."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samebits.base.errors import UserError
from samebits.data.preparation.split import assign, check_splits, hash_mask
from samebits.data.readers.sample_hashes import sample_hashes
from samebits.params.data import DataParams
from samebits.signature.classes import ClassTarget


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
    assert hash_mask(hashes, fraction).tolist() == expected


def test_new_samples_and_another_order_move_nothing() -> None:
    old, new = some(500), some(300, seed=1)
    order = np.random.default_rng(2).permutation(800)
    together = hash_mask(sample_hashes(np.concatenate([old, new])[order]), 0.1)
    assert np.array_equal(together[np.argsort(order)][:500], hash_mask(sample_hashes(old), 0.1))


def test_a_larger_share_only_adds() -> None:
    hashes = sample_hashes(some(2000))
    small, large = hash_mask(hashes, 0.05), hash_mask(hashes, 0.2)
    assert (large | ~small).all()
    # 4 standard deviations of the binomial.
    assert abs(large.sum() - 400) < 4 * (2000 * 0.2 * 0.8) ** 0.5


def test_duplicates_stay_together() -> None:
    images = some(200)
    mask = hash_mask(sample_hashes(np.concatenate([images, images])), 0.3)
    assert np.array_equal(mask[:200], mask[200:])


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_fraction_outside_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        hash_mask(sample_hashes(some(2)), fraction)


DOG_AND_CAT = np.array([0, 1, 0, 1, 0, 1])


def counts_of(classes: int) -> Callable[[Any], list[int]]:
    return lambda rows: ClassTarget.class_counts(DOG_AND_CAT[rows], classes)


def rows(*values: int) -> np.typing.NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize(
    ("train", "validation", "test", "problem", "fix"),
    [
        (
            rows(0, 1),
            rows(),
            rows(2),
            r"validation split is empty: 0.05 \(data.validation_fraction\) of 3",
            "raise",
        ),
        (rows(0, 1), rows(2), rows(), r"the test split is empty: 0.1 \(data.test_fraction\) of 3", "raise"),
        (rows(), rows(2), rows(0), "the train split is empty: all 2", "lower data.valid"),
        (rows(0, 2), rows(4), rows(), "the test split is empty", "raise data.test_fraction"),
        (rows(0, 2), rows(1), rows(3), "class 'cat' has no sample in the training split", "stratified"),
    ],
)
def test_splits_that_cannot_be_used(train: Any, validation: Any, test: Any, problem: str, fix: str) -> None:
    splits = {"train": train, "validation": validation, "test": test}
    with pytest.raises(UserError, match=problem) as caught:
        check_splits(splits, counts_of(2), ("dog", "cat"), DataParams())
    assert fix in caught.value.fix


def test_samples_of_several_classes_are_not_to_be_stratified() -> None:
    splits = {"train": rows(0, 2), "validation": rows(1), "test": rows(3)}
    with pytest.raises(UserError, match="class 'cat' has no sample in the training split") as caught:
        check_splits(splits, counts_of(2), ("dog", "cat"), DataParams(), stratifies=False)
    assert caught.value.fix == "lower data.validation_fraction: all its samples are held out"


def test_a_class_of_the_card_that_nobody_has() -> None:
    splits = {"train": rows(0, 2, 1), "validation": rows(4), "test": rows(3)}
    check_splits(splits, counts_of(2), ("dog", "cat"), DataParams())
    with pytest.raises(UserError, match="class 'eel' has no sample") as caught:
        check_splits(splits, counts_of(3), ("dog", "cat", "eel"), DataParams())
    assert "add samples" in caught.value.fix


METHODS: list[dict[str, Any]] = [{"split": "hash"}, {"split": "stratified"}, {"split": "group"}, {"split": "time"}]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("given", [None, ["train"] * 500 + ["test"] * 100])
def test_every_sample_is_in_one_split_and_shares_are_kept(method: dict[str, Any], given: list[str] | None) -> None:
    hashes, classes = sample_hashes(some(600)), np.arange(600) % 3
    groups, times = [f"g{k // 2}" for k in range(600)], np.arange(600)[::-1]
    settings = DataParams(validation_fraction=0.2, test_fraction=0.25, **method)
    splits = assign(settings, hashes, labels=classes, given=given, groups=groups, times=times)
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(600))
    if given:
        assert splits["test"].tolist() == list(range(500, 600))
    test, validation = len(splits["test"]), len(splits["validation"])
    assert test == 100 if given else 100 < test < 200
    assert 0.1 < validation / (600 - test) < 0.3
    if method["split"] == "stratified":
        for rows_ in splits.values():
            assert np.ptp(np.bincount(classes[rows_])) <= 2
    if method["split"] == "group":
        for k in range(0, 500, 2):
            assert len({name for name, rows_ in splits.items() if k in rows_ or k + 1 in rows_}) == 1
    if method["split"] == "time" and not given:
        assert splits["test"].max() < splits["validation"].min()
        assert splits["validation"].max() < splits["train"].min()


@pytest.mark.parametrize("method", METHODS[:2])
def test_equal_contents_are_never_cut_apart(method: dict[str, Any]) -> None:
    images = some(100)
    hashes = sample_hashes(np.concatenate([images, images, images]))
    classes = np.concatenate([np.zeros(100), np.ones(100), np.zeros(100)]).astype(np.int64)
    splits = assign(DataParams(validation_fraction=0.3, test_fraction=0.3, **method), hashes, labels=classes)
    for rows_ in splits.values():
        assert len(rows_)
        assert len(set((rows_ % 100).tolist())) * 3 == len(rows_)


@pytest.mark.parametrize(
    ("method", "problem"), [("stratified", "no classes"), ("group", "no group"), ("time", "no time")]
)
def test_a_split_by_what_is_not_there(method: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        assign(DataParams(split=method), sample_hashes(some(9)))
