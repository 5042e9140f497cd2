"""The audit before the split: find duplicates and near-duplicates, drop them where `data` says so; count classes.

What is dropped is listed with its reason, nothing is dropped silently. (Copies inside a split and across splits
that stay are counted by `samebits.data.preparation.shards.audit`.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from samebits.base.files import csv_bytes
from samebits.data.loading.prepared import SPLITS
from samebits.data.preparation.shards import target_ids
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.image.near_duplicates import MOST_PAIRS, find_pairs
from samebits.data.readers.reader import Array, Int64, Raw, Rejected
from samebits.data.readers.sample_hashes import hash_word, hash_words, repeated
from samebits.params.data import DataParams
from samebits.signature.signature import TARGETS

NEAR_DUPLICATES = "near_duplicates.csv"

_IMBALANCE = 10.0
"""Imbalance ratio (largest/smallest class) above which a warning is printed."""
_KEPT_FIRST = {"test": 0, "validation": 1, "train": 2}
"""Of copies in several given splits, the test's stays: results stay comparable with others on it."""


@dataclass(frozen=True)
class Audited:
    """Which samples stay.

    Attributes:
        kept: their numbers, int64, ascending.
        set_aside: the others.
        pairs: images that look the same, as (first, second, bits), by their numbers.
        truncated: whether there are more.
    """

    kept: Int64
    set_aside: tuple[Rejected, ...] = ()
    pairs: Sequence[tuple[int, int, int]] = field(default=())
    truncated: bool = False


def audit_raw(
    raw: Raw, settings: DataParams, scratch: Path | None = None, dropped: Mapping[int, str] | None = None
) -> Audited:
    """Find copies and near-duplicates; drop those that `data.duplicates` and `data.image.near_duplicates` say.

    Args:
        scratch: a folder for what would otherwise grow in memory with the number of images.
        dropped: samples that are left out in any case, each with the reason.
    """
    reasons: dict[int, str] = dict(dropped or {})
    if settings.duplicates == "drop":
        reasons |= _copies(raw, reasons)
    pairs: list[tuple[int, int, int]] = []
    truncated = False
    if isinstance(raw, RawImages) and settings.image.near_duplicates != "ignore":
        pairs, truncated = find_pairs(raw.read, len(raw), scratch)
        words = hash_words(raw.hashes)
        pairs = [pair for pair in pairs if (words[pair[0]] != words[pair[1]]).any()]
        if settings.image.near_duplicates == "drop":
            reasons |= _near_duplicates(raw, pairs, reasons)
    stays = np.ones(len(raw), dtype=np.bool_)
    stays[list(reasons)] = False
    kept = np.flatnonzero(stays)
    rejected = tuple(Rejected(raw.ids[row], reasons[row]) for row in sorted(reasons))
    return Audited(kept, rejected, pairs, truncated)


def _rank(raw: Raw, row: int) -> tuple[int, int]:
    """Which of several copies stays: the lowest."""
    return (_KEPT_FIRST[raw.given[row] or "train"] if raw.given is not None else 0, row)


def _copies(raw: Raw, gone: Mapping[int, str]) -> dict[int, str]:
    """Samples that repeat another, or contradict it; where a target is not one class, only repeated pairs of both."""
    labels = raw.labels
    ids = None if raw.targets is None or labels is not None else target_ids(raw.targets)
    groups: dict[tuple[bytes, int], list[int]] = {}
    for row in repeated(hash_word(raw.hashes, 0)).tolist():
        if row in gone:
            continue
        number = 0 if ids is None else int(ids[row])
        groups.setdefault((raw.hashes[row].tobytes(), number), []).append(row)
    reasons: dict[int, str] = {}
    for rows in groups.values():
        if len(rows) == 1:
            continue
        named = set() if labels is None else {raw.classes[int(labels[row])] for row in rows}
        if len(named) > 1:
            reasons |= dict.fromkeys(rows, f"the same content is of the classes {', '.join(sorted(named))}")
            continue
        first = min(rows, key=lambda row: _rank(raw, row))
        reasons |= {row: f"duplicate of {raw.ids[first]}" for row in rows if row != first}
    return reasons


def _near_duplicates(raw: Raw, pairs: Sequence[tuple[int, int, int]], gone: Mapping[int, str]) -> dict[int, str]:
    reasons: dict[int, str] = {}
    for first, second, bits in pairs:
        if {first, second} & (gone.keys() | reasons.keys()):
            continue
        stays, goes = sorted((first, second), key=lambda row: _rank(raw, row))
        reasons[goes] = f"looks like {raw.ids[stays]} ({bits} of 63 bits differ)"
    return reasons


def limit_classes(splits: dict[str, Int64], raw: Raw, most: int | None) -> tuple[dict[str, Int64], int]:
    """The splits with at most `most` training samples per class, those of lowest hash; how many were left out."""
    if most is None or raw.labels is None:
        return splits, 0
    train = splits["train"]
    # The last word of the hash: the others choose the splits and the shards' borders.
    order = train[np.argsort(hash_word(raw.hashes, 3)[train], kind="stable")]
    labels = raw.labels[order]
    kept = np.sort(np.concatenate([order[labels == label][:most] for label in np.unique(labels)]))
    return {**splits, "train": kept}, len(train) - len(kept)


def facts(audited: Audited, raw: Raw, splits: Mapping[str, Int64]) -> tuple[dict[str, Any], list[str]]:
    """The findings for `dataset.json`, and as lines for people."""
    found: dict[str, Any] = {}
    lines: list[str] = []
    if isinstance(raw, RawImages):
        where = np.full(len(raw), "", dtype="<U10")
        for name, rows in splits.items():
            where[rows] = name
        found["near_duplicates"] = near = _near_counts(audited, where)
        total = sum(near["within"].values()) + sum(near["across"].values())
        if total:
            more = f", at least: the search stopped at {MOST_PAIRS:,} pairs" if audited.truncated else ""
            across = ", ".join(f"{n:,} {pair}" for pair, n in near["across"].items() if n) or "none"
            lines.append(
                f"audit: {total:,} pairs of images look the same{more} (across splits: {across}); {NEAR_DUPLICATES}"
            )
    if raw.classes:
        counts = {name: raw.class_counts(rows) for name, rows in splits.items()}
        train = counts["train"]
        found["imbalance"] = round(max(train) / max(1, min(train)), 2)
        if found["imbalance"] > _IMBALANCE:
            most, least = int(np.argmax(train)), int(np.argmin(train))
            counted = TARGETS[raw.target_kind].counted
            lines.append(
                f"audit: {raw.classes[most]} has {train[most]:,} training {counted}, {raw.classes[least]} "
                f"{train[least]:,}; task.class_weights: balanced weighs them alike"
            )
        empty = {
            name: [raw.classes[k] for k, n in enumerate(each) if not n] for name, each in counts.items() if 0 in each
        }
        found["empty_classes"] = empty
        lines += [
            f"audit: no {name} sample of {', '.join(classes[:5])}{' and others' if len(classes) > 5 else ''}"
            for name, classes in empty.items()
        ]
    return found, lines


def _near_counts(audited: Audited, where: Array) -> dict[str, Any]:
    within = dict.fromkeys(SPLITS, 0)
    across = {f"{a}/{b}": 0 for k, a in enumerate(SPLITS) for b in SPLITS[k + 1 :]}
    for first, second, _ in audited.pairs:
        a, b = str(where[first]), str(where[second])
        if not a or not b:
            continue
        if a == b:
            within[a] += 1
        else:
            a, b = sorted((a, b), key=SPLITS.index)
            across[f"{a}/{b}"] += 1
    return {"within": within, "across": across, "truncated": audited.truncated}


def near_duplicates_csv(audited: Audited, raw: Raw, splits: Mapping[str, Int64]) -> bytes:
    """The pairs that are in the data, as CSV."""
    where = np.full(len(raw), "", dtype="<U10")
    for name, rows in splits.items():
        where[rows] = name
    return csv_bytes(
        ("first", "first_split", "second", "second_split", "bits"),
        (
            (raw.ids[first], str(where[first]), raw.ids[second], str(where[second]), bits)
            for first, second, bits in audited.pairs
            if where[first] and where[second]
        ),
    )
