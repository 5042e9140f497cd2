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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from samebits.base.errors import UserError
from samebits.base.files import atomic_file, csv_bytes, json_bytes, write_bytes, write_json
from samebits.data.loading.prepared import FORMAT_VERSION, SPLITS, ShardInfo
from samebits.data.readers.reader import Encoded, Rejected, SplitData
from samebits.data.readers.sample_hashes import Hashes, hash_word, hash_words, repeated
from samebits.signature.kind import Array
from samebits.signature.signature import Signature
from samebits.signature.target_kind import TargetKind

_MANIFEST_ROWS = 65536


def _schema(target: TargetKind, grouped: bool) -> pa.Schema:
    return pa.schema(
        [
            ("id", pa.string()),
            ("split", pa.string()),
            ("target", pa.string() if target.stored_shape else pa.float64()),
            ("source", pa.string()),
            ("sha256", pa.string()),
            ("shard", pa.int32()),
            ("row", pa.int32()),
            *([("group", pa.string())] if grouped else []),
        ]
    )


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
    ends = np.flatnonzero(hash_word(hashes, 1) < np.uint64(min(2**64 - 1, 2**64 // least))) + 1
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
    about: Mapping[str, Any],
    encoded: Encoded,
    *,
    shard_mib: float,
    set_aside: Sequence[Rejected] = (),
) -> dict[str, Any]:
    """Write a prepared folder, `dataset.json` last, and return what that says.

    Args:
        folder: replaced if it exists.
        about: name, title, licence, homepage and files of the source, as they go into `dataset.json`.
        shard_mib: mean size of a shard in MiB.
        set_aside: samples that are not in any split.

    Raises:
        UserError: if the disk is full or the folder cannot be written.
    """
    signature, splits = encoded.signature, encoded.splits
    item = np.dtype(signature.row_dtype).itemsize * math.prod(signature.row_shape)
    target = max(1, round(shard_mib * 2**20 / item))
    try:
        # A folder without dataset.json is none: readers refuse it until everything is there.
        (folder / "dataset.json").unlink(missing_ok=True)
        if (folder / "shards").exists():
            shutil.rmtree(folder / "shards")
        (folder / "shards").mkdir(parents=True)
        shards = {name: _write_split(folder, name, splits[name], target, signature) for name in SPLITS}
        with atomic_file(folder / "manifest.parquet") as file:
            write_manifest(file, splits, shards, signature.target)
        write_bytes(folder / "set_aside.csv", _set_aside_csv(set_aside))
        for name, data in encoded.files.items():
            write_bytes(folder / name, data)
        info = {
            **about,
            "format_version": FORMAT_VERSION,
            "signature": signature.model_dump(),
            "counts": {name: len(splits[name]) for name in SPLITS},
            "class_counts": {
                name: signature.target.class_counts(targets, len(signature.classes))
                for name in SPLITS
                if signature.classes and (targets := splits[name].targets) is not None
            },
            "shards": {name: [vars(shard) for shard in shards[name]] for name in SPLITS},
            "audit": {**audit(splits), **encoded.audit, "set_aside": len(set_aside)},
            "digest": dataset_digest(signature, splits),
        }
        write_json(folder / "dataset.json", info)
    except OSError as error:
        shutil.rmtree(folder / "shards", ignore_errors=True)
        raise UserError(
            f"cannot write {folder}: {error.strerror or error}", "make room, or the folder writable, and run again"
        ) from error
    return info


def _write_split(folder: Path, name: str, split: SplitData, target: int, signature: Signature) -> list[ShardInfo]:
    shards: list[ShardInfo] = []
    start = 0
    for k, end in enumerate(shard_borders(split.hashes, target)):
        inputs = npy_bytes(split.read(np.arange(start, end, dtype=np.int64)).astype(signature.row_dtype, copy=False))
        write_bytes(folder / f"shards/{name}-{k:05d}.npy", inputs)
        targets = None
        if split.targets is not None:
            targets = npy_bytes(split.targets[start:end].astype(signature.target.stored_dtype))
            write_bytes(folder / f"shards/{name}-{k:05d}-targets.npy", targets)
        shards.append(
            ShardInfo(
                inputs=f"shards/{name}-{k:05d}.npy",
                targets=f"shards/{name}-{k:05d}-targets.npy" if targets is not None else None,
                rows=end - start,
                inputs_sha256=_sha256(inputs),
                targets_sha256=_sha256(targets) if targets is not None else None,
            )
        )
        start = end
    return shards


def npy_bytes(array: npt.NDArray[Any]) -> bytes:
    """An array as an .npy file of version 1.0, C order."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def write_manifest(
    sink: BinaryIO, splits: dict[str, SplitData], shards: dict[str, list[ShardInfo]], target: TargetKind
) -> None:
    """A row per sample, in the order of splits and rows, as Parquet; with its group, if it has one."""
    grouped = any(split.groups is not None for split in splits.values())
    schema = _schema(target, grouped)
    # Ids and hashes do not repeat: a dictionary of them is dead weight.
    with pq.ParquetWriter(
        sink, schema, version="2.6", compression="zstd", use_dictionary=["split", "target", "shard"]
    ) as writer:
        for name in SPLITS:
            split = splits[name]
            rows = [shard.rows for shard in shards[name]]
            shard = np.repeat(np.arange(len(rows), dtype=np.int32), rows)
            row = np.concatenate([np.arange(n, dtype=np.int32) for n in rows] or [np.empty(0, dtype=np.int32)])
            for start in range(0, len(split), _MANIFEST_ROWS):
                part = slice(start, start + _MANIFEST_ROWS)
                ids = list(split.ids[part])
                columns = [
                    ids,
                    [name] * len(ids),
                    [None] * len(ids) if split.targets is None else target.in_manifest(split.targets[part]),
                    list(split.origins[part]),
                    [bytes(digest).hex() for digest in split.hashes[part]],
                    shard[part],
                    row[part],
                    *([list(split.groups[part])] if split.groups is not None else []),
                ]
                arrays = [pa.array(values, kind) for values, kind in zip(columns, schema.types, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _set_aside_csv(samples: Sequence[Rejected]) -> bytes:
    return csv_bytes(("id", "reason"), ((sample.id, sample.reason) for sample in samples))


def dataset_digest(signature: Signature, splits: dict[str, SplitData]) -> str:
    """SHA-256 over the signature and, of each split in order, every sample's hash and target. How the file that they
    come from was written does not count."""
    signed = signature.model_dump(exclude={"inputs": {"separator", "quotes", "encoding", "column"}})
    digest = hashlib.sha256(json_bytes({"format_version": FORMAT_VERSION, "signature": signed}))
    for name in SPLITS:
        split = splits[name]
        digest.update(f"{name} {len(split)}\n".encode())
        digest.update(np.ascontiguousarray(split.hashes).data)
        if split.targets is not None:
            digest.update(np.ascontiguousarray(split.targets.astype(signature.target.stored_dtype, copy=False)).data)
    return digest.hexdigest()


def audit(splits: dict[str, SplitData]) -> dict[str, Any]:
    """What is suspicious in the data: identical samples inside a split, across splits, and under two targets.

    Returns:
        `duplicates`: of each split, samples that repeat an earlier one of it; `overlap`: of each pair of
        splits, samples of the second whose content is in the first; `label_conflicts`: different contents that
        occur under more than one target.
    """
    # A sample whose content is there once is none of these.
    alike = repeated(np.concatenate([hash_word(splits[name].hashes, 0) for name in SPLITS]))
    ends = np.cumsum([len(splits[name]) for name in SPLITS])
    where = np.searchsorted(ends, alike, side="right")
    rows = [alike[where == k] - (ends[k] - len(splits[name])) for k, name in enumerate(SPLITS)]
    parts = [each if (each := splits[name].targets) is None else each[rows[k]] for k, name in enumerate(SPLITS)]
    targets = [each for each in parts if each is not None]
    values = target_ids(np.concatenate(targets)) if targets else np.zeros(len(alike))
    words = hash_words(np.concatenate([splits[name].hashes[rows[k]] for k, name in enumerate(SPLITS)]))
    order = np.lexsort(words.T[::-1])
    changes = np.any(words[order][1:] != words[order][:-1], axis=1)
    image = np.empty(len(words), dtype=np.int64)
    image[order] = np.cumsum(np.concatenate([[False], changes]))[: len(words)]
    images = int(image.max(initial=-1)) + 1
    present = [np.bincount(image[where == k], minlength=images) for k in range(len(SPLITS))]
    lowest, highest = np.full(images, np.inf), np.full(images, -np.inf)
    np.minimum.at(lowest, image, values)
    np.maximum.at(highest, image, values)
    pairs = [(a, b) for a in range(len(SPLITS)) for b in range(a + 1, len(SPLITS))]
    return {
        "duplicates": {name: int(len(rows[k]) - np.count_nonzero(present[k])) for k, name in enumerate(SPLITS)},
        "overlap": {f"{SPLITS[a]}/{SPLITS[b]}": int(present[b][present[a] > 0].sum()) for a, b in pairs},
        "label_conflicts": int(np.count_nonzero(lowest != highest)),
    }


def target_ids(targets: Array) -> npt.NDArray[np.int64]:
    """Targets, [n, ...], as numbers that are equal where they are, int64 [n]."""
    if targets.ndim > 1:  # by their hashes: to sort masks takes long
        numbers: dict[bytes, int] = {}
        return np.array(
            [numbers.setdefault(hashlib.sha256(row.tobytes()).digest(), len(numbers)) for row in targets],
            dtype=np.int64,
        )
    _, ids = np.unique(targets, return_inverse=True)
    return np.asarray(ids, dtype=np.int64)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
