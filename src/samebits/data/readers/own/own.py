"""`data.format: own`: a Dataset or a generator of one's own, in a file of `custom`, that gives (input, target).

Its items are read once, in order, into a file; a few are read again, in another order and by a Dataset that is opened
anew, since what is not the same then would be other data at the next run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from samebits.base.errors import UserError, listed
from samebits.data.readers.array.arrays import RawArrays
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.own.dataset import Item, OwnDataset
from samebits.data.readers.own.items import FACTS, HOPELESS, cell, hopeless, items
from samebits.data.readers.own.opened import opened_beside
from samebits.data.readers.own.targets import Targets
from samebits.data.readers.own.words import read_words
from samebits.data.readers.reader import Raw, Rejected, Source
from samebits.data.readers.sample_hashes import HASH_BYTES
from samebits.data.readers.splits import split_of
from samebits.data.readers.times import read_times
from samebits.params.data import DataParams


@dataclass
class _Stored:
    """Items that can be used, as they come in.

    Attributes:
        shape, dtype: of every array, those of the first.
        numbers: which item each is.
        values: of each fact (`group`, `time`, `split`), one each; None where an item does not say it.
    """

    shape: tuple[int, ...] = ()
    dtype: str = ""
    numbers: list[int] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    facts: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in FACTS})
    rejected: list[Rejected] = field(default_factory=list)


def read(source: Source) -> Raw:
    """Store what the Dataset gives.

    uint8 arrays [1, H, W] and [3, H, W] are images, lists of words tagged texts, all others arrays.

    Raises:
        UserError: if it cannot be opened, gives nothing that can be used, or something else at a second reading.
    """
    with opened_beside(source.raw, source.own) as beside:
        found = _read_twice(source)
    if beside:
        shown = [os.path.relpath(each, source.raw.parent.parent) for each in sorted(beside)]
        raise UserError(
            f"{source.settings.own.class_name} of {source.settings.own.file} reads {listed(shown, 3)}, which "
            f"{source.settings.source} does not hold: DVC would not see it change",
            "name the folder above all that it reads in data.source, which it is given the path of",
        )
    return found


def _read_twice(source: Source) -> Raw:
    settings = source.settings
    third = settings.split if settings.split in ("group", "time") else ""
    dataset = OwnDataset(settings.own, source.own, third)
    digests: dict[int, bytes] = {}
    stream = items(dataset, settings.split, digests)
    # What the first one that can be used is, all are.
    first = []
    for pair in islice(stream, HOPELESS):
        first.append(pair)
        if not pair[1].reason:
            break
    are_words = bool(first) and first[-1][1].words is not None
    found = (read_words if are_words else _read_arrays)(source, dataset, chain(first, stream))
    if digests:
        name, indexed = dataset.name, dataset.length is not None
        del dataset, stream  # before another is opened: it may hold all samples in memory
        _require_same(OwnDataset(settings.own, source.own, third), digests, name, indexed)
    return found


def _read_arrays(source: Source, dataset: OwnDataset, stream: Iterator[tuple[int, Item]]) -> Raw:
    path = source.scratch / "samples.bin"
    targets = Targets(source.settings.target_kind, getattr(dataset.items, "classes", None))
    with path.open("wb") as file:
        found = _store(dataset, targets, file, stream)
    return _raw(found, path, targets, source.settings) if found.numbers else _empty(found)


def _store(dataset: OwnDataset, targets: Targets, file: BinaryIO, stream: Iterator[tuple[int, Item]]) -> _Stored:
    found = _Stored()
    for number, item in stream:
        reason = item.reason or _other_shape(item, found)
        if not reason and item.array is not None:
            reason = targets.add(item.target, item.array.shape)
        if reason:
            found.rejected.append(Rejected(f"{number}", reason))
            if not found.numbers and number + 1 >= HOPELESS:
                raise hopeless(dataset, found.rejected[0].reason)
            continue
        assert item.array is not None
        if not found.numbers:
            found.shape, found.dtype = item.array.shape, item.array.dtype.str
        file.write(item.array.data)
        found.numbers.append(number)
        found.hashes.append(item.content())
        for name, value in item.facts.items():
            found.facts[name].append(value)
    return found


def _other_shape(item: Item, found: _Stored) -> str:
    if item.words is not None:
        return "its input is a list of words, that of the first item an array: give all the same"
    if item.array is None or not found.numbers:
        return ""
    if (item.array.shape, item.array.dtype.str) == (found.shape, found.dtype):
        return ""
    given, first = (
        f"{np.dtype(dtype).name} {list(shape)}"
        for shape, dtype in ((item.array.shape, item.array.dtype.str), (found.shape, found.dtype))
    )
    return f"its input is {given}, that of item {found.numbers[0]} is {first}: give all the same shape and type"


def _require_same(again: OwnDataset, digests: Mapping[int, bytes], name: str, indexed: bool) -> None:
    """Compare some items with a second reading: last first, or of a generator the first ones.

    Raises:
        UserError: naming the first that is another.
    """
    if indexed:
        items = ((number, again.item(number)) for number in sorted(digests, reverse=True))
    else:
        items = ((number, item) for number, item in enumerate(islice(again, max(digests) + 1)) if number in digests)
    different = [number for number, item in items if item.reason or item.digest() != digests[number]]
    if different:
        raise UserError(
            f"{name} is not deterministic: item {listed(sorted(different), 3)} is another at a second reading",
            "leave random changes to the training (augment), and draw what is drawn from "
            "numpy.random.default_rng(index)",
        )


def _raw(found: _Stored, path: Path, targets: Targets, settings: DataParams) -> Raw:
    values = np.memmap(path, dtype=found.dtype, mode="r", shape=(len(found.numbers), *found.shape))
    stored, classes = targets.gathered()
    splits = [split_of(str(each or "")) or "" for each in found.facts["split"]]
    groups = found.facts["group"]
    common: dict[str, Any] = {
        "ids": [f"{number}" for number in found.numbers],
        "origins": [f"{settings.own.class_name}[{number}]" for number in found.numbers],
        "hashes": np.frombuffer(b"".join(found.hashes), dtype=np.uint8).reshape(-1, HASH_BYTES),
        "targets": stored,
        "classes": classes,
        "target_kind": targets.kind,
        "given": splits if any(splits) else None,
        "groups": None if None in groups else [str(each) for each in groups],
        "times": read_times([None if each is None else cell(each) for each in found.facts["time"]], "`time`"),
        "set_aside": tuple(found.rejected),
    }
    if values.dtype == np.uint8 and values.ndim == 4 and values.shape[1] in (1, 3):
        return RawImages(**common, parts=[values], resize=settings.image.resize)
    return RawArrays(**common, values=values)


def _empty(found: _Stored) -> Raw:
    """No sample at all, which the stage reports with what was set aside."""
    none = np.empty((0, 1), dtype=np.float32)
    hashes = np.empty((0, HASH_BYTES), dtype=np.uint8)
    return RawArrays(ids=[], origins=[], hashes=hashes, targets=None, set_aside=tuple(found.rejected), values=none)
