"""Splits: fixed by the content of each sample, not by its place or by chance, unless told otherwise.

By hash, a sample is held out if 8 bytes of its SHA-256, as a fraction of 2**64, fall below the wanted share. So new
samples never move old ones between the splits, a larger share only adds to a smaller one's samples, and two copies of
one sample land on the same side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError, listed
from samebits.data.readers.sample_hashes import HASH_BYTES, Hashes, hash_word
from samebits.params.data import DataParams

Int64 = npt.NDArray[np.int64]


def hash_mask(hashes: Hashes, fraction: float, word: int = 0) -> npt.NDArray[np.bool_]:
    """True for each sample that is held out, bool [n].

    Args:
        hashes: uint8 [n, 32].
        fraction: share of the samples held out, in (0, 1).
        word: which 8 bytes decide, 0 to 3. Words are independent of each other.
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fraction {fraction} is outside (0, 1)")
    # An exact integer limit: comparing uint64 with a float would round either.
    return hash_word(hashes, word) < np.uint64(int(fraction * 2**64))


def assign(
    settings: DataParams,
    hashes: Hashes,
    *,
    labels: npt.NDArray[np.int64] | None = None,
    given: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    times: npt.NDArray[Any] | None = None,
    fixes: Mapping[str, str] | None = None,
) -> dict[str, Int64]:
    """The samples of each split, ascending. Every sample is in exactly one.

    What the source itself decides (`given`) stays; of the rest, `data.split` says who goes where. Equal contents go
    together, except where time, groups or the source decide.

    Args:
        hashes: uint8 [n, 32].
        labels: classes, for `stratified`.
        given: `train`, `validation` or `test` of each sample; "" is open.
        groups, times: for `group` and `time`.
        fixes: what to do where the split is `group` or `time` and none are known; left out where the source has none.

    Raises:
        UserError: if the split needs what the source does not have.
    """
    number = {name: at for at, name in enumerate(("train", "validation", "test"))}
    where = np.zeros(len(hashes), dtype=np.int8)
    if given is not None:
        where[:] = [number[each or "train"] for each in given]
    for name, fraction in (("test", settings.test_fraction), ("validation", settings.validation_fraction)):
        if (where == number[name]).any():
            continue
        free = np.flatnonzero(where == number["train"])
        held_out = _held_out(settings, name, fraction, free, hashes, labels, groups, times, fixes or {})
        where[free[held_out]] = number[name]
    return {name: np.flatnonzero(where == at) for name, at in number.items()}


def _held_out(
    settings: DataParams,
    name: str,
    fraction: float,
    free: Int64,
    hashes: Hashes,
    labels: npt.NDArray[np.int64] | None,
    groups: Sequence[str] | None,
    times: npt.NDArray[Any] | None,
    fixes: Mapping[str, str],
) -> npt.NDArray[np.bool_]:
    """Which of the samples `free` go into the split `name`."""
    # Independent words of the hash, so that the validation split is drawn from what the test split leaves.
    word = {"validation": 0, "test": 2}[name]
    if settings.split == "hash":
        return hash_mask(hashes, fraction, word)[free]
    if settings.split == "stratified":
        if labels is None:
            raise UserError("data.split is stratified, but there are no classes", "set data.split: hash")
        return _stratified(hash_word(hashes, word)[free], labels[free], fraction)
    if settings.split == "group":
        if groups is None:
            raise _not_known("group", fixes)
        keys = [groups[row] for row in free.tolist()]
        digests = b"".join(hashlib.sha256(key.encode()).digest() for key in keys)
        of_group = np.frombuffer(digests, dtype=np.uint8).reshape(-1, HASH_BYTES)
        return hash_mask(of_group, fraction, word)
    if times is None:
        raise _not_known("time", fixes)
    order = np.argsort(times[free], kind="stable")
    chosen = np.zeros(len(free), dtype=np.bool_)
    chosen[order[len(free) - max(1, round(fraction * len(free))) :]] = True
    return chosen


def _not_known(what: str, fixes: Mapping[str, str]) -> UserError:
    if what in fixes:
        return UserError(f"data.split is {what}, but no {what} is known", fixes[what])
    return UserError(f"data.split is {what}, but this kind of source has no {what}s", "set data.split: hash")


def _stratified(words: npt.NDArray[np.uint64], labels: npt.NDArray[np.int64], fraction: float) -> npt.NDArray[np.bool_]:
    """Of each class, the samples with the lowest words: its share, at least one, equal words together."""
    chosen = np.zeros(len(words), dtype=np.bool_)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) > 1:
            last = np.sort(words[rows])[max(1, round(fraction * len(rows))) - 1]
            chosen[rows] = words[rows] <= last
    # The same content under two labels would otherwise be cut apart.
    return np.isin(words, words[chosen])


def check_splits(
    splits: Mapping[str, Int64],
    class_counts: Callable[[Int64], list[int]],
    classes: Sequence[str],
    settings: DataParams,
    given: Sequence[str] | None = None,
    *,
    stratifies: bool = True,
) -> None:
    """Refuse splits that cannot be trained on, selected by or judged by.

    Args:
        class_counts: of some samples, how many each class has; empty where the target is no class.
        given: the split of all samples, where the source decides it.
        stratifies: whether samples have one class each, so that they can be split by it.

    Raises:
        UserError: if a split is empty, or a class has no training sample.
    """
    total = sum(len(rows) for rows in splits.values())
    for name, rows in splits.items():
        if len(rows):
            continue
        if name == "train":
            raise UserError(
                f"the train split is empty: all {total} samples are held out",
                "lower data.validation_fraction and data.test_fraction, or add samples",
            )
        key = f"data.{name}_fraction"
        fraction = getattr(settings, f"{name}_fraction")
        raise UserError(
            f"the {name} split is empty: {fraction:g} ({key}) of {total} samples", f"raise {key}, or add samples"
        )
    counts = {name: class_counts(rows) for name, rows in splits.items()}
    if not counts["train"]:
        return
    empty = [k for k in range(len(classes)) if not counts["train"][k]]
    if not empty:
        return
    held_out = [k for k in empty if any(counts[name][k] for name in counts)]
    in_train = [] if given is None else class_counts(np.flatnonzero(np.isin(given, ("train", ""))))
    if given is not None and (outside := [k for k in held_out if not in_train[k]]):
        where = "; ".join(
            f"{classes[k]!r}: " + ", ".join(f"{counts[name][k]:,} in {name}" for name in counts if counts[name][k])
            for k in outside[:5]
        )
        raise UserError(
            f"class {listed([repr(classes[k]) for k in outside])} has no sample in the training split that the source "
            f"gives ({where})",
            "move some of its samples to the training split of the source, or take the class out of the source",
        )
    raise UserError(
        f"class {listed([repr(classes[k]) for k in empty])} has no sample in the training split",
        f"lower data.validation_fraction{' or set data.split: stratified' if stratifies else ''}: all its samples are "
        "held out"
        if len(held_out) == len(empty)
        else "add samples of it, or remove the class",
    )
