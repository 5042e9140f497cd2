"""Tables: a CSV or a Parquet file, one sample a row, one column to predict.

Names and kinds of the columns are found here, over the whole file; what is fitted (statistics, categories, quantiles)
is fitted on the training split alone, in `samebits.data.readers.table.encoding`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from samebits.base.errors import UserError
from samebits.base.registry import nearest
from samebits.data.readers.reader import Encoded, Int64, Raw, SetAside, Source
from samebits.data.readers.sample_hashes import HASH_BYTES, Hashes
from samebits.data.readers.splits import KNOWN, split_of
from samebits.data.readers.table.columns import (
    Column,
    coded,
    decide_decimal,
    read_text_column,
    read_typed_column,
)
from samebits.data.readers.table.csv_file import read_csv
from samebits.data.readers.table.encoding import Features, encode
from samebits.data.readers.table.target import Target, read_target
from samebits.params.table import TableParams

_LISTS = ("drop", "categories", "dates")
_NAMING = ("target", "group", "time", "split", *_LISTS)
"""The settings that name columns."""
_SPLIT_CURES = {
    "group": "name the column whose equal values stay together: data.table.group",
    "time": "name the column to sort by: data.table.time",
}
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class _Table:
    """A file's columns and, of each row, its number in the file."""

    columns: dict[str, Column]
    rows: Int64
    broken: list[SetAside]
    decimal: Any


@dataclass(frozen=True, kw_only=True)
class RawTable(Raw):
    """Rows of a table.

    Attributes:
        features: the columns that are inputs, of the samples alone.
        target: the column to predict.
        settings: the `data.table` section.
        notes: what was found in the file, as lines.
    """

    features: Features
    target: Target
    settings: TableParams
    notes: tuple[str, ...] = field(default=())

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
    name = source.path.name if source.path is not None else next(iter(source.files))
    if path.is_dir():
        raise UserError(f"data.source {path.name} is a folder", "name the CSV or Parquet file in it")
    is_parquet = _starts_with(path, b"PAR1")
    wanted: list[str] = []

    def check(names: list[str]) -> None:
        wanted.extend(_inputs(names, settings, name))

    table = _read_parquet(path, name, settings, check) if is_parquet else _read_csv(path, name, settings, check)
    columns = table.columns
    target_name = settings.target or list(columns)[-1]
    target = read_target(columns[target_name], settings)
    inputs = {each: columns[each] for each in wanted}
    reasons = _reasons(inputs, target.bad, settings, columns)
    good = np.setdiff1d(np.arange(len(table.rows)), np.fromiter(reasons, dtype=np.int64, count=len(reasons)))
    ids = [f"row/{number:07d}" for number in table.rows.tolist()]
    aside = [*table.broken, *(SetAside(ids[row], reason) for row, reason in sorted(reasons.items()))]
    notes = [f"target {target_name}: {target.meaning}" + ("" if settings.target else " (the last column)")]
    if not is_parquet and table.decimal == ",":
        notes.append("decimal comma")
    return RawTable(
        ids=[ids[row] for row in good.tolist()],
        origins=[f"{name}#{number}" for number in table.rows[good].tolist()],
        hashes=_hashes(inputs.values(), good),
        targets=target.values[good],
        classes=target.classes,
        given=_given(columns, settings, good),
        groups=None if settings.group is None else columns[settings.group].texts[good].tolist(),
        times=None if settings.time is None else columns[settings.time].values[good],
        split_cures=_SPLIT_CURES,
        set_aside=tuple(aside),
        features=Features.select(inputs, good, settings, table.decimal),
        target=target.select(good),
        settings=settings,
        notes=tuple(notes),
    )


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _needed(settings: TableParams) -> set[str | None]:
    """Columns that are read though they may be no inputs."""
    return {settings.target, settings.group, settings.time, settings.split}


def _read_csv(path: Path, name: str, settings: TableParams, check: Any) -> _Table:
    cells = read_csv(path, name, settings)
    check(list(cells.columns))
    skipped = set(settings.drop) - _needed(settings)
    text = {each: coded(column, settings.missing) for each, column in cells.columns.items() if each not in skipped}
    decimal = decide_decimal(text, settings.decimal)
    columns = {each: read_text_column(each, column, decimal, settings) for each, column in text.items()}
    broken = [SetAside(f"row/{number:07d}", reason) for number, reason in cells.broken]
    return _Table(columns, np.array(cells.rows, dtype=np.int64), broken, decimal)


def _read_parquet(path: Path, name: str, settings: TableParams, check: Any) -> _Table:
    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        twice = sorted({each for each in names if names.count(each) > 1})
        if twice:
            raise UserError(f"{name}: two columns are called {', '.join(twice)}", "give each a name of its own")
        check(names)
        kept = [each for each in names if each not in settings.drop or each in _needed(settings)]
        table = file.read(columns=kept)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise UserError(
            f"{name} is no Parquet file that can be read: {str(error).splitlines()[0]}",
            "it is damaged or encrypted: copy or write it again",
        ) from None
    if not table.num_rows:
        raise UserError(f"{name} has no rows", "look at data.source")
    columns = {each: read_typed_column(each, table[each], settings) for each in kept}
    decimal = "," if settings.decimal == "," else "."
    return _Table(columns, np.arange(1, table.num_rows + 1, dtype=np.int64), [], decimal)


def _inputs(names: list[str], settings: TableParams, file: str) -> list[str]:
    """Names of the inputs, in the file's order.

    Raises:
        UserError: if a setting names a column that is not there, or nothing is left.
    """
    _require_columns(names, settings, file)
    if len(names) < 2:
        raise UserError(f"{file} has one column, {names[0]!r}", "a table needs a target and at least one more column")
    target = settings.target or names[-1]
    if target in settings.drop:
        raise UserError(f"{target} is the target and in data.table.drop", "set data.table.target, or keep the column")
    for key in ("group", "split"):
        if getattr(settings, key) == target:
            raise UserError(f"{target} is the target and data.table.{key}", f"set data.table.{key} to another column")
    out = {*settings.drop, target, settings.group, settings.split}
    left = [each for each in names if each not in out]
    if not left:
        raise UserError(f"{file} has no column left to learn from", "take some out of data.table.drop")
    return left


def _require_columns(names: list[str], settings: TableParams, file: str) -> None:
    """Every column that a setting names must be there. All that are not are told at once: whoever puts a table of their
    own in a recipe's place has the names of another table in several settings.

    Raises:
        UserError: with the columns that there are, and what takes the names out again.
    """
    wrong: dict[str, list[str]] = {}
    for key in _NAMING:
        value = getattr(settings, key)
        for each in [value] if isinstance(value, str) else value or ():
            if each not in names:
                wrong.setdefault(key, []).append(each)
    if not wrong:
        return
    problem = "; ".join(f"data.table.{key} names {', '.join(map(repr, each))}" for key, each in wrong.items())
    several = len([each for found in wrong.values() for each in found]) > 1
    guesses = {each: nearest(each, names) for found in wrong.values() for each in found}
    meant = ", ".join(repr(guess) for guess in guesses.values() if guess)
    without = ", ".join(f"data.table.{key}: {_without(key, each, settings)}" for key, each in wrong.items())
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    raise UserError(
        f"{problem}, which {'are no columns' if several else 'is no column'} of {file}",
        (f"did you mean {meant}? " if meant else "") + f"set {without}, or name other columns; it has: {shown}",
    )


def _without(key: str, wrong: list[str], settings: TableParams) -> str:
    """A setting as YAML, without the columns that are not there."""
    if key in _LISTS:
        return f"[{', '.join(each for each in getattr(settings, key) if each not in wrong)}]"
    return "null (the last column is the target then)" if key == "target" else "null"


def _reasons(
    inputs: Mapping[str, Column], target: Mapping[int, str], settings: TableParams, columns: Mapping[str, Column]
) -> dict[int, str]:
    """Rows that cannot be used, with the first reason of each."""
    reasons: dict[int, str] = dict(target)
    kinds = {"number": "finite number", "date": "date", "category": "value"}
    for column in inputs.values():
        for row, cell in column.bad.items():
            reasons.setdefault(row, f"column {column.name}: {cell[:40]!r} is no {kinds[column.kind]}")
        if column.kind == "number":
            with np.errstate(invalid="ignore"):
                large = np.flatnonzero(np.abs(column.values) > _LARGEST)
            for row in large.tolist():
                reasons.setdefault(row, f"column {column.name}: {column.texts[row]} is beyond float32")
    for key in ("group", "time", "split"):
        value = getattr(settings, key)
        if value is not None:
            for row in np.flatnonzero(columns[value].missing).tolist():
                reasons.setdefault(row, f"column {value} (data.table.{key}) is missing")
    return reasons


def _given(columns: Mapping[str, Column], settings: TableParams, good: Int64) -> list[str] | None:
    """The split of each sample, where a column says it.

    Raises:
        UserError: for a word that is no split.
    """
    if settings.split is None:
        return None
    texts = [str(text) for text in columns[settings.split].texts[good].tolist()]
    known = {text: split for text in set(texts) if (split := split_of(text))}
    wrong = sorted(set(texts) - set(known))
    if wrong:
        raise UserError(f"column {settings.split} (data.table.split) holds {wrong[0]!r}", f"its cells are {KNOWN}")
    return [known[text] for text in texts]


def _hashes(columns: Iterable[Column], good: Int64) -> Hashes:
    """SHA-256 of each sample's names and texts: how a column is read does not move its rows to other splits."""
    parts = [(f"{column.name}\x1f", column.texts[good].tolist()) for column in columns]
    rows = zip(*([name + text for text in texts] for name, texts in parts), strict=True)
    digests = b"".join(hashlib.sha256("\x1e".join(row).encode()).digest() for row in rows)
    return np.frombuffer(digests, dtype=np.uint8).reshape(-1, HASH_BYTES)
