"""The `prepare` stage: fetch a data set's files, check them, split them, write them as shards.

Run it by `dvc repro prepare`. Result: `data/prepared/` (see `samebits.data.prepared`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from samebits.data.catalog import load_card
from samebits.data.fetch import fetch
from samebits.data.prepared import SPLITS
from samebits.data.shards import SplitData, write_prepared
from samebits.data.sources import RawDataset, RawSplit, read_source
from samebits.data.split import check_splits, sample_hashes, validation_mask
from samebits.params.data import DataParams

if TYPE_CHECKING:
    from samebits.stage import StageContext


def prepare(data: DataParams, *, context: StageContext) -> None:
    """Write `data/prepared/` from the card `data.source`.

    Raises:
        UserError: unknown card, files that cannot be had or are damaged, a split that cannot be trained on.
    """
    card = load_card(context.project.catalog, data.source)
    files = fetch(card, say=context.say, progress=context.runtime.progress)
    raw = read_source(card, files)
    splits = make_splits(raw, tuple(card.classes), data.validation_fraction)
    info = write_prepared(context.project.prepared, card, splits, shard_mib=data.shard_mib)
    for line in describe(info):
        context.say(line)


def make_splits(raw: RawDataset, classes: tuple[str, ...], fraction: float) -> dict[str, SplitData]:
    """The source's training samples cut in two by content hash, and its test split as it is.

    Raises:
        UserError: if validation or a class of train is empty.
    """
    hashes = sample_hashes(raw.train.images)
    held_out = validation_mask(hashes, fraction)
    train, validation = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    check_splits({"train": raw.train.labels[train], "validation": raw.train.labels[validation]}, classes, fraction)
    return {
        "train": _take(raw.train, train, hashes),
        "validation": _take(raw.train, validation, hashes),
        "test": _take(raw.test, np.arange(len(raw.test.labels)), sample_hashes(raw.test.images)),
    }


def describe(info: dict[str, Any]) -> Iterator[str]:
    """The lines that the stage prints."""
    counts, audit = info["counts"], info["audit"]
    yield f"{info['title']}: " + ", ".join(f"{counts[split]:,} {split}" for split in SPLITS)
    found = [f"{n:,} duplicates in {split}" for split, n in audit["duplicates"].items() if n]
    for pair, n in audit["overlap"].items():
        first, second = pair.split("/")
        found += [f"{n:,} of {second} also in {first}"] if n else []
    found += [f"{audit['label_conflicts']:,} images under two labels"] if audit["label_conflicts"] else []
    yield "audit: " + (", ".join(found) or "no duplicates, no label conflicts")
    yield f"digest {info['digest'][:16]}"


def _take(split: RawSplit, rows: np.typing.NDArray[np.int64], hashes: np.typing.NDArray[np.uint8]) -> SplitData:
    return SplitData(split.images, rows, split.labels[rows], hashes[rows], split.ids, split.origins)
