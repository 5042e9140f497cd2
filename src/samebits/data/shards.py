"""Writer of the prepared format.

A shard ends where the content of a sample says so, not after a fixed number of samples: a sample that is
inserted, changed or removed then changes the shard it lies in (and its neighbour's border at most), and the
other shards keep their bytes, so that little travels when a data set grows by a little.
"""

from __future__ import annotations

import hashlib
import io
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from samebits.data.catalog import Card
from samebits.data.prepared import FORMAT_VERSION, SPLITS, ShardInfo
from samebits.data.split import Hashes, hash_words
from samebits.errors import UserError
from samebits.files import json_bytes, write_bytes, write_json

_CHUNK = 4096
_MANIFEST_ROWS = 65536
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("label", pa.int64()),
        ("source", pa.string()),
        ("sha256", pa.string()),
        ("shard", pa.int32()),
        ("row", pa.int32()),
    ]
)


@dataclass(frozen=True)
class SplitData:
    """A split to be written: rows `take` of a source's images, in order.

    Attributes:
        images: uint8 [m, C, H, W] of the source; may be mapped.
        take: int64 [n], rows of `images`.
        labels: int64 [n].
        hashes: uint8 [n, 32].
        ids, origins: of the source, m each.
    """

    images: npt.NDArray[np.uint8]
    take: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    hashes: Hashes
    ids: Sequence[str]
    origins: Sequence[str]

    def __len__(self) -> int:
        return len(self.take)

    def chunks(self) -> Iterator[npt.NDArray[np.uint8]]:
        """The images in order, a few thousand at a time: uint8 [k, C, H, W]."""
        for start in range(0, len(self), _CHUNK):
            yield self.images[self.take[start : start + _CHUNK]]


def shard_borders(hashes: Hashes, target: int) -> list[int]:
    """Where shards end: rising row numbers, the last one n.

    A shard ends after a sample whose hash falls below a limit, once it has target / 2 rows; the limit is such
    that target / 2 more rows follow on average, so a shard has `target` rows on average. At 2 * target rows it
    ends in any case (one shard in 20).

    Args:
        hashes: uint8 [n, 32] in the order of the split.
        target: mean rows a shard.
    """
    n, least, most = len(hashes), max(1, target // 2), max(1, 2 * target)
    # Word 1 of the hash: word 0 chose the split, and would be below its limit for all of validation.
    ends = np.flatnonzero(hash_words(hashes)[:, 1] < np.uint64(min(2**64 - 1, 2**64 // least))) + 1
    borders: list[int] = []
    start = 0
    while start < n:
        at = int(np.searchsorted(ends, start + least))
        end = int(ends[at]) if at < len(ends) else n
        start = min(end, start + most, n)
        borders.append(start)
    return borders


def write_prepared(
    folder: Path,
    card: Card,
    splits: dict[str, SplitData],
    *,
    shard_mib: float,
) -> dict[str, Any]:
    """Write a prepared folder, `dataset.json` last, and return what that says.

    Args:
        folder: replaced if it exists.
        splits: `train`, `validation`, `test`.
        shard_mib: mean size of a shard in MiB.

    Raises:
        UserError: if the disk is full or the folder cannot be written; or all training images are one
            plain colour.
    """
    train = splits["train"]
    shape = tuple(int(size) for size in train.images.shape[1:])
    mean, std = channel_statistics(train)
    target = max(1, round(shard_mib * 2**20 / math.prod(shape)))
    try:
        # A folder without dataset.json is none: readers refuse it until everything is there.
        (folder / "dataset.json").unlink(missing_ok=True)
        if (folder / "shards").exists():
            shutil.rmtree(folder / "shards")
        (folder / "shards").mkdir(parents=True)
        shards = {name: _write_split(folder, name, splits[name], target) for name in SPLITS}
        write_bytes(folder / "manifest.parquet", manifest_bytes(splits, shards))
        schema = {
            "format_version": FORMAT_VERSION,
            "task": card.task,
            "shape": list(shape),
            "dtype": "uint8",
            "classes": list(card.classes),
        }
        info = {
            **schema,
            "name": card.name,
            "title": card.title,
            "licence": card.licence,
            "homepage": card.homepage,
            "files": [{"name": f.name, "bytes": f.bytes, "sha256": f.sha256} for f in card.files],
            "counts": {name: len(splits[name]) for name in SPLITS},
            "class_counts": {
                name: np.bincount(splits[name].labels, minlength=len(card.classes)).tolist() for name in SPLITS
            },
            "statistics": {"mean": mean, "std": std},
            "shards": {name: [vars(shard) for shard in shards[name]] for name in SPLITS},
            "audit": audit(splits),
            "digest": dataset_digest(schema, splits),
        }
        write_json(folder / "dataset.json", info)
    except OSError as error:
        shutil.rmtree(folder / "shards", ignore_errors=True)
        raise UserError(
            f"cannot write {folder}: {error.strerror or error}", "make room, or the folder writable, and run again"
        ) from error
    return info


def _write_split(folder: Path, name: str, split: SplitData, target: int) -> list[ShardInfo]:
    shards: list[ShardInfo] = []
    start = 0
    for k, end in enumerate(shard_borders(split.hashes, target)):
        images, labels = f"shards/{name}-{k:05d}.npy", f"shards/{name}-{k:05d}-labels.npy"
        image_bytes = npy_bytes(split.images[split.take[start:end]])
        label_bytes = npy_bytes(split.labels[start:end].astype("<i8"))
        write_bytes(folder / images, image_bytes)
        write_bytes(folder / labels, label_bytes)
        shards.append(ShardInfo(images, labels, end - start, _sha256(image_bytes), _sha256(label_bytes)))
        start = end
    return shards


def npy_bytes(array: npt.NDArray[Any]) -> bytes:
    """An array as an .npy file of version 1.0, C order."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def manifest_bytes(splits: dict[str, SplitData], shards: dict[str, list[ShardInfo]]) -> bytes:
    """The manifest: a row a sample, in the order of splits and rows, as Parquet."""
    sink = io.BytesIO()
    # Ids and hashes do not repeat: a dictionary of them is dead weight.
    with pq.ParquetWriter(
        sink, _SCHEMA, version="2.6", compression="zstd", use_dictionary=["split", "label", "shard"]
    ) as writer:
        for name in SPLITS:
            split = splits[name]
            rows = [shard.rows for shard in shards[name]]
            shard = np.repeat(np.arange(len(rows), dtype=np.int32), rows)
            row = np.concatenate([np.arange(n, dtype=np.int32) for n in rows] or [np.empty(0, dtype=np.int32)])
            for start in range(0, len(split), _MANIFEST_ROWS):
                part = slice(start, start + _MANIFEST_ROWS)
                taken = split.take[part].tolist()
                columns = [
                    [split.ids[i] for i in taken],
                    [name] * len(taken),
                    split.labels[part],
                    [split.origins[i] for i in taken],
                    [bytes(digest).hex() for digest in split.hashes[part]],
                    shard[part],
                    row[part],
                ]
                arrays = [pa.array(values, kind) for values, kind in zip(columns, _SCHEMA.types, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA))
    return sink.getvalue()


def channel_statistics(split: SplitData) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation of each channel, pixels scaled to [0, 1].

    From exact integer sums, rounded once at the end: the same on every machine and in any order.

    Raises:
        UserError: if every channel is constant.
    """
    channels = split.images.shape[1]
    histogram = np.zeros((channels, 256), dtype=np.int64)
    for chunk in split.chunks():
        for channel in range(channels):
            histogram[channel] += np.bincount(chunk[:, channel].reshape(-1), minlength=256)
    mean, std = [], []
    for counts in histogram.tolist():
        n = sum(counts)
        total = sum(value * count for value, count in enumerate(counts))
        squares = sum(value * value * count for value, count in enumerate(counts))
        spread = n * squares - total * total
        mean.append(total / (n * 255))
        std.append(math.sqrt(spread / (n * n * 255 * 255)))
    if not any(std):
        raise UserError("all pixels of all training images are equal: there is nothing to learn", "look at the files")
    return mean, std


def dataset_digest(schema: dict[str, Any], splits: dict[str, SplitData]) -> str:
    """SHA-256 over the schema and, of each split in order, every sample's hash and label."""
    digest = hashlib.sha256(json_bytes(schema))
    for name in SPLITS:
        split = splits[name]
        digest.update(f"{name} {len(split)}\n".encode())
        digest.update(np.ascontiguousarray(split.hashes).data)
        digest.update(np.ascontiguousarray(split.labels.astype("<i8")).data)
    return digest.hexdigest()


def audit(splits: dict[str, SplitData]) -> dict[str, Any]:
    """What is suspicious in the data: identical images inside a split, across splits, and under two labels.

    Returns:
        `duplicates`: of each split, samples that repeat an earlier one of it; `overlap`: of each pair of
        splits, samples of the second whose image is in the first; `label_conflicts`: different images that
        occur under more than one label.
    """
    words = np.concatenate([hash_words(splits[name].hashes) for name in SPLITS])
    labels = np.concatenate([splits[name].labels for name in SPLITS])
    where = np.repeat(np.arange(len(SPLITS)), [len(splits[name]) for name in SPLITS])
    order = np.lexsort(words.T[::-1])
    changes = np.any(words[order][1:] != words[order][:-1], axis=1)
    image = np.empty(len(words), dtype=np.int64)
    image[order] = np.concatenate([[0], np.cumsum(changes)])
    images = int(image.max()) + 1
    present = [np.bincount(image[where == k], minlength=images) for k in range(len(SPLITS))]
    lowest = np.full(images, np.iinfo(np.int64).max)
    highest = np.full(images, -1, dtype=np.int64)
    np.minimum.at(lowest, image, labels)
    np.maximum.at(highest, image, labels)
    pairs = [(a, b) for a in range(len(SPLITS)) for b in range(a + 1, len(SPLITS))]
    return {
        "duplicates": {name: int(len(splits[name]) - np.count_nonzero(present[k])) for k, name in enumerate(SPLITS)},
        "overlap": {f"{SPLITS[a]}/{SPLITS[b]}": int(present[b][present[a] > 0].sum()) for a, b in pairs},
        "label_conflicts": int(np.count_nonzero(lowest != highest)),
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
