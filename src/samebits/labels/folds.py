"""Folds of the training split, each as prepared data of its own: what is held out is their test split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.checkpoints.checkpoint import copy_files
from samebits.data.loading.prepared import Split, SplitName, open_split
from samebits.data.preparation.shards import write_prepared
from samebits.data.readers.reader import Encoded, SplitData
from samebits.data.readers.sample_hashes import HASH_BYTES
from samebits.signature.kind import Array

Int64 = npt.NDArray[np.int64]

_SPLITS: tuple[SplitName, SplitName] = ("train", "validation")


@dataclass(frozen=True)
class Samples:
    """Who the samples of a split are, by row.

    Attributes:
        hashes: SHA-256 of each content, hex.
        groups: of each, where the split kept them together.
    """

    ids: list[str]
    sources: list[str]
    hashes: list[str]
    groups: list[str] | None

    @property
    def units(self) -> list[str]:
        """What must not be torn apart: its group, else its content."""
        return self.hashes if self.groups is None else self.groups

    def picked(self, split: Split, rows: Int64) -> SplitData:
        """Some rows of their split, as they are written."""
        digests = bytes.fromhex("".join(self.hashes[row] for row in rows.tolist()))
        return SplitData(
            count=len(rows),
            read=lambda places: split.rows(rows[places]),
            targets=None if split.targets is None else split.targets[rows],
            hashes=np.frombuffer(digests, dtype=np.uint8).reshape(-1, HASH_BYTES),
            ids=[self.ids[row] for row in rows.tolist()],
            origins=[self.sources[row] for row in rows.tolist()],
        )


def read_samples(prepared: Path, split: str) -> Samples:
    """From the manifest."""
    import pyarrow.parquet as pq

    found = pq.read_table(prepared / "manifest.parquet", filters=[("split", "=", split)]).to_pydict()
    return Samples(found["id"], found["source"], found["sha256"], found.get("group"))


def assign_folds(units: Sequence[str], labels: Array | None, folds: int) -> Int64:
    """The fold of each sample, int64 [n]: the same one for samples of one unit, and of each class as many in each.

    Args:
        units: of each sample, what must not be torn apart.
        labels: the class of each, if it has one.

    Raises:
        UserError: for fewer units than folds.
    """
    first: dict[str, int] = {}
    for row, unit in enumerate(units):
        first.setdefault(unit, row)
    if len(first) < folds:
        raise UserError(
            f"{folds} folds need as many different groups or contents, and the training split has {len(first)}",
            f"ask for fewer: --folds {max(2, len(first))}" if len(first) > 1 else "add samples",
        )

    def key(unit: str) -> tuple[int, bytes]:
        return 0 if labels is None else int(labels[first[unit]]), hashlib.sha256(unit.encode()).digest()

    fold = {unit: place % folds for place, unit in enumerate(sorted(first, key=key))}
    return np.array([fold[unit] for unit in units], dtype=np.int64)


def write_fold(whole: Path, into: Path, held_out: npt.NDArray[np.bool_], shard_mib: float) -> None:
    """Prepared data whose test split is a part of another one's training split.

    Args:
        whole: the prepared folder.
        held_out: of its training split, bool [n].
    """
    train, validation = (open_split(whole, name, in_memory=False) for name in _SPLITS)
    learnt, judged = read_samples(whole, "train"), read_samples(whole, "validation")
    splits = {
        "train": learnt.picked(train, np.flatnonzero(~held_out)),
        "validation": judged.picked(validation, np.arange(len(validation), dtype=np.int64)),
        "test": learnt.picked(train, np.flatnonzero(held_out)),
    }
    info, signature = read_json(whole / "dataset.json"), train.info.signature
    about = {key: info[key] for key in ("name", "title", "licence")}
    write_prepared(into, about, Encoded(signature, splits), shard_mib=shard_mib)
    copy_files(whole, into, signature)
