"""Tables: a CSV or a Parquet file, one sample a row, one column to predict.

Names and kinds of the columns are found here, over the whole file; what is fitted (statistics, categories, quantiles)
is fitted on the training split alone, in `samebits.data.readers.table.encoding`.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from samebits.base.errors import UserError
from samebits.data.readers.csv_file import open_csv
from samebits.data.readers.reader import Encoded, Int64, Names, Raw, Rejected, Source
from samebits.data.readers.sample_hashes import HASH_BYTES, Hashes
from samebits.data.readers.splits import KNOWN, split_of
from samebits.data.readers.table.choice import Chosen, named_columns
from samebits.data.readers.table.columns import (
    Bools,
    Column,
    decide_decimal,
    read_text_column,
    read_typed_column,
)
from samebits.data.readers.table.encoding import Features, encode
from samebits.data.readers.table.parquet_file import pandas_index, stream_parquet, without_dictionaries
from samebits.data.readers.table.store import Gathered, new_array, parts
from samebits.data.readers.table.target import Target
from samebits.data.readers.table.targets import read_targets
from samebits.data.readers.table.texts import Cells
from samebits.params.data import DataParams
from samebits.signature import signature

_SPLIT_FIXES = {
    "group": "name the column whose equal values stay together: data.group_column",
    "time": "name the column to sort by: data.time_column",
}
_LARGEST = float(np.finfo(np.float32).max)
_BATCH = 1 << 14
"""Rows of a CSV that are turned into columns at a time."""


@dataclass(frozen=True)
class Table:
    """A file's columns and, of each row, its number in the file."""

    columns: dict[str, Column]
    rows: Int64
    broken: list[Rejected]
    decimal: Any
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class RawTable(Raw):
    """Rows of a table.

    Attributes:
        features: the columns that are inputs, of the samples alone.
        target: the column to predict.
        settings: the `data` section.
        notes: what was found in the file, as lines.
    """

    features: Features
    target: Target
    settings: DataParams
    notes: tuple[str, ...] = field(default=())

    def fitted_target(self, training: Int64) -> signature.Target:
        target = super().fitted_target(training)
        return target.model_copy(update={"names": list(self.target.names)}) if self.target.names else target

    def encode(self, splits: Mapping[str, Int64]) -> Encoded:
        """Fit columns on the training split and encode all rows: see `samebits.data.readers.table.encoding.encode`."""
        return encode(self, self.features, self.target, splits, self.settings, self.notes)


def read(source: Source) -> RawTable:
    """Read a table by the settings of `data.table`.

    Raises:
        UserError: no table, columns that are not there, a target that cannot be learnt.
    """
    settings = source.settings.table
    path = source.own
    name = source.own_name
    if path.is_dir():
        raise UserError(f"data.source {path.name} is a folder", "name the CSV or Parquet file in it")
    chosen = Chosen(source.settings, name)
    table = read_columns(source, chosen)
    columns = table.columns
    target = read_targets([columns[each] for each in chosen.targets], settings, source.settings.target_kind)
    inputs = {each: columns[each] for each in chosen.inputs}
    reasons = _reasons(inputs, target.bad, source.settings, columns)
    usable = np.ones(len(table.rows), dtype=np.bool_)
    usable[list(reasons)] = False
    good = np.flatnonzero(usable)
    ids = Names("row/{:07d}".format, table.rows)
    rejected = [*table.broken, *(Rejected(ids[row], reason) for row, reason in sorted(reasons.items()))]
    scratch = source.scratch
    target = target.select(good, scratch)
    notes = [
        f"target {', '.join(chosen.targets)}: {target.meaning}" + ("" if settings.target else " (the last column)")
    ]
    if chosen.index:
        notes.append(f"left out, pandas wrote them as the labels of the rows: {', '.join(chosen.index)}")
    return RawTable(
        ids=Names(ids.of, table.rows[good]),
        origins=Names(lambda number: f"{name}#{number}", table.rows[good]),
        hashes=_hashes(inputs.values(), usable, scratch),
        targets=target.values,
        classes=target.classes,
        target_kind=target.kind,
        target_name=target.name,
        given=_given(columns, source.settings.split_column, usable),
        groups=None if (group := source.settings.group_column) is None else _texts(columns[group], usable),
        times=None if (time := source.settings.time_column) is None else columns[time].values[good],
        split_fixes=_SPLIT_FIXES,
        set_aside=tuple(rejected),
        features=Features.select(inputs, good, settings, table.decimal, scratch),
        target=target,
        settings=source.settings,
        notes=(*notes, *table.notes),
    )


def read_columns(source: Source, chosen: Chosen) -> Table:
    """The columns that are chosen, of a CSV or a Parquet file.

    Raises:
        UserError: for a file that is neither, columns that are not there, or that can be read in two ways.
    """
    with source.own.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    return _read_parquet(source, chosen) if is_parquet else _read_csv(source, chosen)


def _read_csv(source: Source, chosen: Chosen) -> Table:
    settings = source.settings.table
    file = open_csv(source, {each for names in named_columns(source.settings).values() for each in names}, every=True)
    kept = chosen.choose(file.header, pandas_index(file.header))
    places = [file.header.index(each) for each in kept]
    schema = pa.schema([(each, pa.string()) for each in kept])
    gathered, total = Gathered(source.scratch), 0
    broken: list[Rejected] = []
    wrong: list[int] = []

    def good() -> Iterable[list[str]]:
        nonlocal total
        for total, (line, row) in enumerate(file.rows(), start=1):
            if isinstance(row, str):
                broken.append(Rejected(f"row/{total:07d}", f"line {line}: {row}"))
                wrong.append(total)
            else:
                yield row

    waiting = iter(good())
    while batch := list(itertools.islice(waiting, _BATCH)):
        columns = [pa.array([row[place] for row in batch], pa.string()) for place in places]
        gathered.add(pa.record_batch(columns, schema=schema))
    if total == len(wrong):
        first = (
            f"of {len(broken):,} rows none can be read, {broken[0].reason}"
            if broken
            else "it has no row below its names"
        )
        raise UserError(f"{file.name}: {first}", "look at data.source, and at data.csv")
    table = gathered.table()
    text = {each: Cells(table[each], settings.missing) for each in kept}
    decimal = decide_decimal(text, settings.decimal)
    found = {each: read_text_column(each, cells, decimal, settings, source.scratch) for each, cells in text.items()}
    notes = [*["decimal comma"] * (decimal == ","), *filter(None, [file.guessed()])]
    rows = np.setdiff1d(np.arange(1, total + 1), wrong, assume_unique=True)
    return Table(found, rows, broken, decimal, notes)


def _read_parquet(source: Source, chosen: Chosen) -> Table:
    settings, gathered = chosen.settings.table, Gathered(source.scratch)
    for part in stream_parquet(source.own, chosen.file, chosen.choose, _BATCH):
        for batch in without_dictionaries(part).to_batches():
            gathered.add(batch)
    if not len(gathered):
        raise UserError(f"{chosen.file} has no rows", "look at data.source")
    table = gathered.table()
    columns = {each: read_typed_column(each, table[each], settings, source.scratch) for each in table.column_names}
    decimal = "," if settings.decimal == "," else "."
    return Table(columns, np.arange(1, table.num_rows + 1, dtype=np.int64), [], decimal, [])


def _reasons(
    inputs: Mapping[str, Column], target: Mapping[int, str], settings: DataParams, columns: Mapping[str, Column]
) -> dict[int, str]:
    """Rows that cannot be used, with the first reason of each."""
    reasons: dict[int, str] = dict(target)
    kinds = {"number": "finite number", "date": "date", "category": "value"}
    for column in inputs.values():
        often = {cell for cell, n in Counter(column.bad.values()).items() if n > 1}
        for row, cell in column.bad.items():
            hint = "; if it marks a missing value, add it to data.table.missing" if cell in often else ""
            reasons.setdefault(row, f"column {column.name}: {cell[:40]!r} is no {kinds[column.kind]}{hint}")
        if column.kind == "number":
            with np.errstate(invalid="ignore"):
                large = np.flatnonzero(np.abs(column.values) > _LARGEST)
            for row in large.tolist():
                reasons.setdefault(row, f"column {column.name}: {column.texts[row]} is beyond float32")
    for key in ("group_column", "time_column", "split_column"):
        value = getattr(settings, key)
        if value is not None:
            # A row without a split is split by data.split.
            for row in np.flatnonzero(columns[value].missing).tolist() if key != "split_column" else ():
                reasons.setdefault(row, f"column {value} (data.{key}) is missing")
            for row, cell in columns[value].bad.items():
                reasons.setdefault(
                    row, f"column {value} (data.{key}): {cell[:40]!r} is no {kinds[columns[value].kind]}"
                )
    return reasons


def _texts(column: Column, usable: Bools) -> list[str]:
    """Of the usable rows; texts that are alike are one object."""
    one: dict[str, str] = {}
    return [one.setdefault(text, text) for text in itertools.compress(column.texts, usable)]


def _given(columns: Mapping[str, Column], column: str | None, usable: Bools) -> list[str] | None:
    """The split of each sample, where a column says it; None if it says none.

    Raises:
        UserError: for a word that is no split.
    """
    if column is None:
        return None
    texts = _texts(columns[column], usable)
    known = {text: split for text in set(texts) if (split := split_of(text))} | {"": ""}
    wrong = sorted(set(texts) - set(known))
    if wrong:
        raise UserError(f"column {column} (data.split_column) holds {wrong[0]!r}", f"its cells are {KNOWN}")
    return [known[text] for text in texts] if any(texts) else None


def _hashes(columns: Collection[Column], usable: Bools, scratch: Path) -> Hashes:
    """SHA-256 of each usable row's names and texts: how a column is read does not move its rows to other splits."""
    names = [f"{column.name}\x1f" for column in columns]
    found = new_array((int(usable.sum()), HASH_BYTES), np.uint8, scratch)
    done = 0
    for part in parts(len(usable)):
        rows = itertools.compress(zip(*(column.texts.part(part) for column in columns), strict=True), usable[part])
        joined = ("\x1e".join(map(str.__add__, names, row)) for row in rows)
        digests = np.frombuffer(b"".join(hashlib.sha256(each.encode()).digest() for each in joined), dtype=np.uint8)
        end = done + len(digests) // HASH_BYTES
        found[done:end] = digests.reshape(-1, HASH_BYTES)
        done = end
    return found
