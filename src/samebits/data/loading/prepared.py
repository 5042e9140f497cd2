"""The prepared format: shards of samples, one manifest row per sample, and `dataset.json`, which describes them.

    data/prepared/
      dataset.json                      signature, counts, digest, audit, the list of shards
      manifest.parquet                  id, split, target, source, sha256, shard, row of every sample; with
                                        data.split: group, its group
      set_aside.csv                     samples that could not be used, each with the reason
      shards/train-00000.npy            images uint8 or uint16 [n, C, H, W]; tokens uint16 [n, L]; table rows
                                        float32 [n, columns]
      shards/train-00000-targets.npy    classes int64 [n]; numbers float32 [n]; none for a language model
      tokenizer.json                    for texts

This module reads; `shards` and `prepare` write. Arrays are .npy (never pickled), so any tool can open them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.data.loading.remote import ShardCache, Wanted
from samebits.data.loading.remote_parts import RemoteParts, npy_size
from samebits.signature.signature import Signature

FORMAT_VERSION = 2
SPLITS = ("train", "validation", "test")
SplitName = Literal["train", "validation", "test"]

Array = npt.NDArray[Any]

_CHUNK = 4096

_T = TypeVar("_T")
_FIX = "make it again: dvc repro (or, if it was made before: dvc checkout)"


@dataclass(frozen=True)
class ShardInfo:
    """One shard: its files below the prepared folder, their hashes, and how many samples they hold.

    `targets` is None where the inputs hold them, as the next token of a text.
    """

    inputs: str
    targets: str | None
    rows: int
    inputs_sha256: str
    targets_sha256: str | None


@dataclass(frozen=True)
class DatasetInfo:
    """What `dataset.json` says.

    Attributes:
        signature: what a sample and its target are, with what was fitted on the training split.
        counts: samples of each split.
        class_counts: of each split, samples of each class; empty where the target is no class.
        digest: SHA-256 over signature, sample hashes and targets in order. Equal digests are equal data.
        shards: of each split, in order.
        corrections: how many labels were corrected and samples dropped, of each split; empty if none.
    """

    name: str
    title: str
    licence: str
    signature: Signature
    counts: dict[str, int]
    class_counts: dict[str, tuple[int, ...]]
    digest: str
    shards: dict[str, tuple[ShardInfo, ...]]
    corrections: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a class target is an index into them."""
        return self.signature.classes

    def split_bytes(self, split: SplitName) -> int:
        """Size of a split's samples in memory."""
        item = np.dtype(self.signature.row_dtype).itemsize
        return self.counts[split] * item * int(np.prod(self.signature.row_shape))


class Split:
    """The samples of one split, by row.

    Attributes:
        info: of the data set.
        name: of the split.
        targets: class indices int64 [n], numbers float32 [n] or what the kind of target stores; None where the inputs
            hold them.
        shard_rows: rows of each shard, in order.
        remote: its shards, where some lie on the DVC remote alone.
    """

    def __init__(
        self,
        info: DatasetInfo,
        name: SplitName,
        targets: Array | None,
        parts: Sequence[Array],
        shard_rows: tuple[int, ...],
    ) -> None:
        self.info = info
        self.name = name
        self.targets = targets
        self.shard_rows = shard_rows
        self.remote = parts if isinstance(parts, RemoteParts) else None
        self._parts = parts
        """The whole split as one array, or one array (mapped from its file) a shard."""
        self._first = np.cumsum([0, *shard_rows])

    def __len__(self) -> int:
        return int(self._first[-1])

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """The classes of all samples, int64 [n].

        Raises:
            UserError: if the target is no class.
        """
        if self.targets is None or not self.info.classes:
            raise UserError(
                f"{self.info.name} has no classes, its target is of kind {self.info.signature.target.kind}",
                "set task.name to one for such data",
            )
        return self.targets

    def samples(self, indices: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """Inputs and targets as a model learns them, in the order asked for.

        Returns:
            images uint8 or uint16 [n, C, H, W], tokens [n, L] cut to the longest text among them, or table rows
            float32 [n, columns]; and int64 [n], float32 [n], or the next token of each position, int64 [n, L].
        """
        rows = self.rows(indices)
        if self.targets is None:
            return self.info.signature.target.from_rows(rows)
        inputs = self.info.signature.inputs.used(rows)
        return inputs, self.info.signature.target.used(self.targets[indices], inputs)

    def lengths(self) -> npt.NDArray[np.int64]:
        """Unpadded length of each text in tokens; 1 for other inputs: int64 [n]."""
        found = [np.empty(0, dtype=np.int64)]
        for start in range(0, len(self), _CHUNK):
            rows = self.rows(np.arange(start, min(start + _CHUNK, len(self)), dtype=np.int64))
            found.append(self.info.signature.inputs.lengths(rows))
        return np.concatenate(found)

    def rows(self, indices: npt.NDArray[np.int64]) -> Array:
        """Gather samples as they are stored, in the order asked for: [len(indices), *row_shape], a copy.

        Safe to call from several threads at once.
        """
        if len(self._parts) == 1:
            return np.take(self._parts[0], indices, axis=0)
        out = np.empty((len(indices), *self.info.signature.row_shape), dtype=self.info.signature.row_dtype)
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
        raise UserError(f"{path}: format_version is {version!r}, this code reads {FORMAT_VERSION}", _FIX)
    try:
        return _parse(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path} is damaged: {'.'.join(map(str, first['loc']))}: {first['msg']}", _FIX) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__} {error}", _FIX) from None


def open_split(folder: Path, split: SplitName, *, in_memory: bool, shards: ShardCache | None = None) -> Split:
    """Open a split.

    Args:
        folder: `data/prepared`.
        in_memory: read it whole, checking each shard against its hash; else map the files, checking their
            sizes and headers alone (hashing would read them all).
        shards: where files come from that are not in the folder.

    Raises:
        UserError: if a file is missing or is not the one that `dataset.json` describes.
    """
    info = read_info(folder)
    signature = info.signature
    if split not in info.shards:
        raise UserError(f"{folder / 'dataset.json'} has no split {split!r}", _FIX)
    listed = info.shards[split]
    rows = tuple(shard.rows for shard in listed)
    shape, dtype = signature.row_shape, np.dtype(signature.row_dtype)
    target = signature.target
    stored = None if target.stored_dtype is None else (sum(rows), *target.stored_shape)
    targets = None if stored is None else np.empty(stored, dtype=target.stored_dtype)
    whole = np.empty((sum(rows), *shape), dtype=dtype) if in_memory else None
    mapped: list[Array] = []
    at = 0
    wanted = [Wanted(s.inputs, s.inputs_sha256, npy_size(dtype, (s.rows, *shape))) for s in listed]
    away = shards is not None and not all((folder / each.name).exists() for each in wanted)
    for shard, file in zip(listed, wanted, strict=True):
        end = at + shard.rows
        if targets is not None:
            targets[at:end] = _targets(folder, shard, targets[at:end], shards)
        if whole is not None:
            whole[at:end] = _load(_at(folder, file, shards), dtype, (shard.rows, *shape), shard.inputs_sha256)
        elif not away:
            mapped.append(_map(folder / shard.inputs, dtype, (shard.rows, *shape)))
        at = end
    if targets is not None and len(targets):
        _check_targets(folder, split, targets, info)
    if away and whole is None:
        assert shards is not None
        parts = RemoteParts(shards, wanted, rows, lambda path, k: _map(path, dtype, (rows[k], *shape)))
        return Split(info, split, targets, parts, rows)
    return Split(info, split, targets, mapped if whole is None else [whole], rows)


def _at(folder: Path, file: Wanted, shards: ShardCache | None) -> Path:
    path = folder / file.name
    return path if shards is None or path.exists() else shards.path(file)


def _targets(folder: Path, shard: ShardInfo, like: Array, shards: ShardCache | None) -> Array:
    if shard.targets is None or shard.targets_sha256 is None:
        raise UserError(f"{folder / 'dataset.json'} names no targets for {shard.inputs}", _FIX)
    file = Wanted(shard.targets, shard.targets_sha256, npy_size(like.dtype, like.shape))
    return _load(_at(folder, file, shards), like.dtype, like.shape, shard.targets_sha256)


def _check_targets(folder: Path, split: str, targets: Array, info: DatasetInfo) -> None:
    if problem := info.signature.target.problem(targets):
        raise UserError(f"{folder}, split {split}: {problem}", _FIX)


def _load(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], sha256: str) -> Array:
    data = _readable(path, path.read_bytes)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(f"{path} is damaged: its hash is not the one in dataset.json", _FIX)
    array = _readable(path, lambda: np.load(io.BytesIO(data), allow_pickle=False))
    return _checked(path, array, dtype, shape)


def _map(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    return _checked(path, _readable(path, lambda: np.load(path, mmap_mode="r", allow_pickle=False)), dtype, shape)


def _readable(path: Path, read: Callable[[], _T]) -> _T:
    try:
        return read()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", _FIX) from None
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read: {error}", _FIX) from None


def _checked(path: Path, array: Array, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    if array.dtype != dtype or array.shape != shape:
        raise UserError(
            f"{path} holds {array.dtype} {list(array.shape)}, dataset.json says {dtype} {list(shape)}", _FIX
        )
    return array


def _parse(value: dict[str, Any]) -> DatasetInfo:
    info = DatasetInfo(
        name=str(value["name"]),
        title=str(value["title"]),
        licence=str(value["licence"]),
        signature=Signature.model_validate(value["signature"]),
        counts={split: int(value["counts"][split]) for split in SPLITS},
        class_counts={split: tuple(int(n) for n in each) for split, each in value["class_counts"].items()},
        digest=str(value["digest"]),
        shards={split: tuple(ShardInfo(**shard) for shard in value["shards"][split]) for split in SPLITS},
        corrections={
            kind: {split: int(n) for split, n in of_split.items()}
            for kind, of_split in value["audit"].get("corrections", {}).items()
        },
    )
    for split in SPLITS:
        if sum(shard.rows for shard in info.shards[split]) != info.counts[split]:
            raise ValueError(f"the shards of {split} do not add up to its count")
    return info
