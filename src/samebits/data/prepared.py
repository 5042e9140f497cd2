"""The prepared format: shards of pixels, one manifest row a sample, and `dataset.json`, which describes them.

    data/prepared/
      dataset.json                     shape, classes, counts, statistics, digest, audit, the list of shards
      manifest.parquet                 id, split, label, source, sha256, shard, row of every sample
      shards/train-00000.npy           uint8 [n, C, H, W]
      shards/train-00000-labels.npy    int64 [n]

This module reads; `shards` and `prepare` write. Arrays are .npy (never pickled), so any tool can open them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from samebits.errors import UserError
from samebits.files import read_json

FORMAT_VERSION = 1
SPLITS = ("train", "validation", "test")
SplitName = Literal["train", "validation", "test"]

_T = TypeVar("_T")
_CURE = "make it again: dvc repro (or, if it was made before: dvc checkout)"


@dataclass(frozen=True)
class ShardInfo:
    """One shard: two files below the prepared folder, their hashes, and how many samples they hold."""

    images: str
    labels: str
    rows: int
    images_sha256: str
    labels_sha256: str


@dataclass(frozen=True)
class DatasetInfo:
    """What `dataset.json` says.

    Attributes:
        shape: (C, H, W) of a sample, uint8.
        classes: class names; a label is an index into them.
        counts: samples of each split.
        class_counts: of each split, samples of each class.
        mean: of each channel over the training split, of pixels scaled to [0, 1].
        std: likewise; the population's. 0 for a constant channel.
        digest: SHA-256 over schema, sample hashes and labels in order. Equal digests are equal data.
        shards: of each split, in order.
    """

    name: str
    title: str
    licence: str
    task: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    counts: dict[str, int]
    class_counts: dict[str, tuple[int, ...]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    digest: str
    shards: dict[str, tuple[ShardInfo, ...]]

    @property
    def mean_pixel(self) -> tuple[int, ...]:
        """The mean of each channel as a pixel value, 0 to 255."""
        return tuple(round(value * 255) for value in self.mean)

    def split_bytes(self, split: SplitName) -> int:
        """Size of a split's pixels in memory."""
        return self.counts[split] * int(np.prod(self.shape))


class Split:
    """The samples of one split, by row.

    Attributes:
        info: of the data set.
        name: of the split.
        labels: int64 [n].
        shard_rows: rows of each shard, in order.
    """

    def __init__(
        self,
        info: DatasetInfo,
        name: SplitName,
        labels: npt.NDArray[np.int64],
        parts: list[npt.NDArray[np.uint8]],
        shard_rows: tuple[int, ...],
    ) -> None:
        self.info = info
        self.name = name
        self.labels = labels
        self.shard_rows = shard_rows
        self._parts = parts
        """The whole split as one array, or one array (mapped from its file) a shard."""
        self._first = np.cumsum([0, *(len(part) for part in parts)])

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Gather samples, in the order asked for: uint8 [len(indices), C, H, W], a copy.

        Safe to call from several threads at once.
        """
        if len(self._parts) == 1:
            return np.take(self._parts[0], indices, axis=0)
        out = np.empty((len(indices), *self.info.shape), dtype=np.uint8)
        if len(indices) and (indices.min() < 0 or indices.max() >= len(self)):
            raise IndexError(f"row {indices.min()} or {indices.max()} is outside 0 .. {len(self) - 1}")
        shard = np.searchsorted(self._first, indices, side="right") - 1
        for k in np.unique(shard):
            at = np.flatnonzero(shard == k)
            out[at] = self._parts[k][indices[at] - self._first[k]]
        return out


def read_info(folder: Path) -> DatasetInfo:
    """Read `dataset.json`.

    Raises:
        UserError: if it is missing, damaged, or of another version of the format.
    """
    path = folder / "dataset.json"
    value = read_json(path)
    version = value.get("format_version") if isinstance(value, dict) else None
    if version != FORMAT_VERSION:
        raise UserError(f"{path}: format_version is {version!r}, this code reads {FORMAT_VERSION}", _CURE)
    try:
        return _parse(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__} {error}", _CURE) from None


def open_split(folder: Path, split: SplitName, *, in_memory: bool) -> Split:
    """Open a split.

    Args:
        folder: `data/prepared`.
        in_memory: read it whole, checking each shard against its hash; else map the files, checking their
            sizes and headers alone (hashing would read them all).

    Raises:
        UserError: if a file is missing or is not the one that `dataset.json` describes.
    """
    info = read_info(folder)
    if split not in info.shards:
        raise UserError(f"{folder / 'dataset.json'} has no split {split!r}", _CURE)
    shards = info.shards[split]
    rows = tuple(shard.rows for shard in shards)
    labels = np.empty(sum(rows), dtype=np.int64)
    whole = np.empty((len(labels), *info.shape), dtype=np.uint8) if in_memory else None
    mapped: list[npt.NDArray[np.uint8]] = []
    at = 0
    for shard in shards:
        end = at + shard.rows
        labels[at:end] = _load(folder / shard.labels, np.dtype("<i8"), (shard.rows,), shard.labels_sha256)
        shape = (shard.rows, *info.shape)
        if whole is None:
            mapped.append(_map(folder / shard.images, shape))
        else:
            whole[at:end] = _load(folder / shard.images, np.dtype("u1"), shape, shard.images_sha256)
        at = end
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(info.classes)):
        raise UserError(f"{folder}: a label of split {split} is none of the {len(info.classes)} classes", _CURE)
    return Split(info, split, labels, mapped if whole is None else [whole], rows)


def _load(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], sha256: str) -> npt.NDArray[Any]:
    data = _readable(path, path.read_bytes)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(f"{path} is damaged: its hash is not the one in dataset.json", _CURE)
    array = _readable(path, lambda: np.load(io.BytesIO(data), allow_pickle=False))
    return _checked(path, array, dtype, shape)


def _map(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    return _checked(
        path, _readable(path, lambda: np.load(path, mmap_mode="r", allow_pickle=False)), np.dtype("u1"), shape
    )


def _readable(path: Path, read: Callable[[], _T]) -> _T:
    try:
        return read()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", _CURE) from None
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read: {error}", _CURE) from None


def _checked(path: Path, array: npt.NDArray[Any], dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if array.dtype != dtype or array.shape != shape:
        raise UserError(
            f"{path} holds {array.dtype} {list(array.shape)}, dataset.json says {dtype} {list(shape)}", _CURE
        )
    return array


def _parse(value: dict[str, Any]) -> DatasetInfo:
    channels, height, width = (int(size) for size in value["shape"])
    info = DatasetInfo(
        name=str(value["name"]),
        title=str(value["title"]),
        licence=str(value["licence"]),
        task=str(value["task"]),
        shape=(channels, height, width),
        classes=tuple(str(name) for name in value["classes"]),
        counts={split: int(value["counts"][split]) for split in SPLITS},
        class_counts={split: tuple(int(n) for n in value["class_counts"][split]) for split in SPLITS},
        mean=tuple(float(x) for x in value["statistics"]["mean"]),
        std=tuple(float(x) for x in value["statistics"]["std"]),
        digest=str(value["digest"]),
        shards={split: tuple(ShardInfo(**shard) for shard in value["shards"][split]) for split in SPLITS},
    )
    for split in SPLITS:
        if sum(shard.rows for shard in info.shards[split]) != info.counts[split]:
            raise ValueError(f"the shards of {split} do not add up to its count")
    if len(info.mean) != channels or len(info.std) != channels:
        raise ValueError("the statistics are not one value a channel")
    return info
