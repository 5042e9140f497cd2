"""`data.format: own`: a Dataset or a generator of one's own, in a file of `custom`, that gives (input, target).

Its items are read once, in order, into a file; a few are read again, in another order and by a Dataset that is opened
anew, since what is not the same then would be other data at the next run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from samebits.base.errors import UserError, listed
from samebits.data.readers.array.arrays import RawArrays
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.own.dataset import Item, OwnDataset
from samebits.data.readers.own.opened import opened_beside
from samebits.data.readers.own.targets import Targets
from samebits.data.readers.reader import Raw, Rejected, Source
from samebits.data.readers.sample_hashes import HASH_BYTES
from samebits.data.readers.splits import KNOWN, split_of
from samebits.data.readers.times import no_time, read_times
from samebits.params.data import DataParams

_HOPELESS = 50
"""So many items at the beginning of which none can be used: all the others need not be read."""
_READ_TWICE = 32
"""Items that are compared with a second reading."""
_PLURALS = {"group": "groups", "time": "times", "split": "splits"}


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
    facts: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in _PLURALS})
    rejected: list[Rejected] = field(default_factory=list)
    digests: dict[int, bytes] = field(default_factory=dict)


def read(source: Source) -> Raw:
    """Store what the Dataset gives.

    uint8 arrays [1, H, W] and [3, H, W] are images, all others arrays.

    Raises:
        UserError: if it cannot be opened, gives nothing that can be used, or something else at a second reading.
    """
    path = source.scratch / "samples.bin"
    with opened_beside(source.raw, source.own) as beside:
        found, targets = _read_twice(source, path)
    if beside:
        shown = [os.path.relpath(each, source.raw.parent.parent) for each in sorted(beside)]
        raise UserError(
            f"{source.settings.own.class_name} of {source.settings.own.file} reads {listed(shown, 3)}, which "
            f"{source.settings.source} does not hold: DVC would not see it change",
            "name the folder above all that it reads in data.source, which it is given the path of",
        )
    return _raw(found, path, targets, source.settings) if found.numbers else _empty(found)


def _read_twice(source: Source, path: Path) -> tuple[_Stored, Targets]:
    settings = source.settings
    third = settings.split if settings.split in ("group", "time") else ""
    dataset = OwnDataset(settings.own, source.own, third)
    targets = Targets(settings.target_kind, getattr(dataset.items, "classes", None))
    with path.open("wb") as file:
        found = _store(dataset, targets, file, settings.split)
    if found.numbers:
        name, indexed = dataset.name, dataset.length is not None
        del dataset  # before another is opened: it may hold all samples in memory
        _require_same(OwnDataset(settings.own, source.own, third), found.digests, name, indexed)
    return found, targets


def _store(dataset: OwnDataset, targets: Targets, file: BinaryIO, split: str) -> _Stored:
    found = _Stored()
    given = {name: dataset.attribute(plural) for name, plural in _PLURALS.items()}
    step = 1 if dataset.length is None else max(1, dataset.length // _READ_TWICE)
    for number, item in enumerate(dataset):
        facts = {
            name: item.facts.get(name, None if all_of is None else all_of[number]) for name, all_of in given.items()
        }
        reason = item.reason or _other_shape(item, found) or _missing(facts, split)
        if not reason and item.array is not None:
            reason = targets.add(item.target, item.array.shape)
        if reason:
            found.rejected.append(Rejected(f"{number}", reason))
            if not found.numbers and number + 1 >= _HOPELESS:
                raise UserError(
                    f"{dataset.name}: none of its first {_HOPELESS} items can be used; item 0: "
                    f"{found.rejected[0].reason}",
                    "correct what it gives: (input, target); docs/data.md shows it",
                )
            continue
        assert item.array is not None
        if not found.numbers:
            found.shape, found.dtype = item.array.shape, item.array.dtype.str
        file.write(item.array.data)
        found.numbers.append(number)
        found.hashes.append(item.content())
        for name, value in facts.items():
            found.facts[name].append(value)
        if number % step == 0 and len(found.digests) < 2 * _READ_TWICE:
            found.digests[number] = item.digest()
    return found


def _other_shape(item: Item, found: _Stored) -> str:
    if item.array is None or not found.numbers:
        return ""
    if (item.array.shape, item.array.dtype.str) == (found.shape, found.dtype):
        return ""
    given, first = (
        f"{np.dtype(dtype).name} {list(shape)}"
        for shape, dtype in ((item.array.shape, item.array.dtype.str), (found.shape, found.dtype))
    )
    return f"its input is {given}, that of item {found.numbers[0]} is {first}: give all the same shape and type"


def _missing(facts: Mapping[str, Any], split: str) -> str:
    """Why a sample has no place in the splits."""
    if facts["split"] not in (None, ""):
        known = split_of(str(facts["split"])) is not None
        return "" if known else f"its split is {facts['split']!r}; known: {KNOWN}"
    if split not in ("group", "time"):
        return ""
    if facts[split] is None:
        return (
            f"it has no {split}, data.split is {split}: give it as the third element of an item, or all of them as the "
            f"attribute `{_PLURALS[split]}` of the Dataset"
        )
    return (no_time(_cell(facts["time"])) or "") if split == "time" else ""


def _cell(value: Any) -> str:
    """A time as the text that stands in a table."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


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
        "times": read_times([None if each is None else _cell(each) for each in found.facts["time"]], "`time`"),
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
