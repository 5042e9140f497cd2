"""A CSV, Parquet or JSON Lines file as columns, and what each column seems to be for."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from samebits.base.errors import UserError, listed
from samebits.base.registry import nearest
from samebits.data.readers.decoding import NotText, read_lines
from samebits.data.readers.splits import split_of
from samebits.data.readers.table.choice import Chosen
from samebits.data.readers.table.columns import Column, read_text_column
from samebits.data.readers.table.encoding import counts_rows, hardly_repeats
from samebits.data.readers.table.table import read_columns
from samebits.data.readers.table.texts import Cells
from samebits.starting.found import PARQUET, Asked, Found

_TARGETS = (("target", "label", "class", "outcome", "sentiment"), ("y", "category"))
"""Names by which a column says that it is the target; the later ones count where none of the first is there."""

_CLASSES = {"label", "class", "category", "sentiment", "type", "species"}
"""Names of targets that are classes, also where numbers stand for them."""

_ID = re.compile(r"(^|[_ ])(id|uuid|guid|key)$|Id$|ID$")
_WORDS = 4
_FEW_VALUES = 20


@dataclass(frozen=True)
class Rows:
    """The columns of a file, read as `prepare` reads them.

    Attributes:
        unread: columns that hold lists, structs or bytes, with their type.
    """

    columns: dict[str, Column]
    name: str
    unread: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())).missing)

    def is_prose(self, name: str) -> bool:
        """Whether a column holds texts of several words that hardly ever come again."""
        column = self.columns[name]
        if column.kind != "category" or len(column.labels) * 2 <= len(self):
            return False
        return statistics.median(len(text.split()) for text in column.labels) >= _WORDS

    def is_id(self, name: str) -> bool:
        """Whether a column names the rows: numbers that count them, or a value of its own for each, called an id."""
        column = self.columns[name]
        if column.kind == "number" and counts_rows(column.values):
            return True
        present = column.values[~column.missing]
        return bool(_ID.search(name)) and len(np.unique(present)) == len(present)

    def hardly_repeats(self, name: str) -> bool:
        """Whether a column of texts is too diverse to be categories."""
        return hardly_repeats(self.columns[name])

    def different(self, name: str) -> int:
        column = self.columns[name]
        return len(np.unique(column.values[~column.missing]))

    def split_column(self) -> str | None:
        """The column that says train and test of each row, if there is one."""
        for name, column in self.columns.items():
            splits = {split_of(each) for each in column.labels} if column.kind == "category" else set()
            if "train" in splits and None not in splits:
                return name
        return None

    def counts(self, name: str) -> Counter[str]:
        """Rows of each class of a column."""
        column = self.columns[name]
        present = column.values[~column.missing]
        values, numbers = np.unique(present, return_counts=True)
        names = [column.labels[int(v)] if column.kind == "category" else f"{v:.15g}" for v in values]
        return Counter(dict(zip(names, numbers.tolist(), strict=True)))


def read_rows(found: Found) -> Rows:
    """All columns of a table but pandas' row labels and those without single values.

    Raises:
        UserError: as `prepare` would raise it.
    """
    if "rows" not in found.read:
        found.read["rows"] = _read_rows(found)
    rows: Rows = found.read["rows"]
    return rows


def _read_rows(found: Found) -> Rows:
    unread = _no_cells(found)
    settings = found.settings.model_copy(
        update={"table": found.settings.table.model_copy(update={"drop": list(unread)})}
    )
    table = read_columns(found.source(settings), Chosen(settings, found.path.name))
    return Rows(table.columns, found.path.name, unread)


def _no_cells(found: Found) -> dict[str, str]:
    """Columns of a Parquet file that hold no single values, with their type."""
    if found.suffix not in PARQUET:
        return {}
    try:
        schema = pq.read_schema(found.path)
    except (pa.ArrowException, OSError):
        return {}  # the reader says what is wrong with it
    kinds = zip(schema.names, schema.types, strict=True)
    return {name: str(kind) for name, kind in kinds if pa.types.is_nested(kind) or pa.types.is_binary(kind)}


def read_json_rows(found: Found) -> Rows:
    """The keys of a JSON Lines file as columns of text.

    Raises:
        UserError: if it holds no object.
    """
    objects: list[dict[str, Any]] = []
    for _, line in read_lines(found.path, found.path.name, found.settings.encoding, Counter()):
        try:
            value = None if isinstance(line, NotText) or not line.strip() else json.loads(line)
        except (ValueError, RecursionError):
            continue  # prepare sets it aside, and says why
        if isinstance(value, dict):
            objects.append(value)
    if not objects:
        raise UserError(f"{found.path.name} has no line with a JSON object", "write one object a line")
    keys = Counter(key for each in objects for key in each)
    common = [key for key, n in keys.items() if n * 2 > len(objects)]
    columns = {}
    for key in common:
        cells = [_cell(each.get(key)) for each in objects]
        columns[key] = read_text_column(
            key, Cells(pa.array(cells, pa.string()), [""]), ".", found.settings.table, found.scratch
        )
    return Rows(columns, found.path.name)


def _cell(value: Any) -> str | None:
    """A value as a CSV would have it; None for what is no single one."""
    if value is None or isinstance(value, dict | list):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def guess_target(rows: Rows, candidates: list[str], asked: Asked) -> tuple[str, str]:
    """The column to predict, and why it is this one.

    Args:
        candidates: columns that can be the target, in the file's order.

    Raises:
        UserError: for a column that is not there; if several may be meant, or none.
    """
    if asked.target is not None:
        if asked.target not in rows.columns:
            near = nearest(asked.target, list(rows.columns))
            hint = f"did you mean {near!r}? " if near else ""
            raise UserError(
                f"{rows.name} has no column {asked.target!r}", f"{hint}it has: {listed(list(rows.columns), 20)}"
            )
        return asked.target, "asked for by --target"
    named = ([each for each in candidates if each.strip().lower() in names] for names in _TARGETS)
    by_name = next(filter(None, named), [])
    if len(by_name) == 1:
        return by_name[0], "its name says so"
    if by_name or not candidates:
        choices = by_name or list(rows.columns)
        problem = f"{listed(by_name)} may be it" if by_name else "no column looks like one"
        raise UserError(
            f"{rows.name}: which column is to be predicted? {problem}",
            f"say it: --target {' or '.join(choices[:3])} (columns: {listed(list(rows.columns), 20)})",
        )
    return candidates[-1], "the last column" if candidates[-1] == list(rows.columns)[-1] else "the last that is no id"


def guess_kind(rows: Rows, target: str, asked: Asked) -> tuple[str, str]:
    """`number` or `class` for a target, and why.

    Raises:
        UserError: if a few whole numbers may be either, or the target can be none.
    """
    column = rows.columns[target]
    if asked.predict is not None:
        return asked.predict, "asked for by --predict"
    if column.kind == "date":
        raise UserError(
            f"{rows.name}: the target {target} is a date",
            f"name another: --target (columns: {listed([each for each in rows.columns if each != target], 20)})",
        )
    if rows.different(target) < 2:
        raise UserError(
            f"{rows.name}: the target {target} is the same in every row: there is nothing to learn",
            f"name another: --target (columns: {listed([each for each in rows.columns if each != target], 20)})",
        )
    if column.kind == "category":
        return "class", f"it holds words, {rows.different(target):,} different ones"
    values = np.unique(column.values[~column.missing])
    if len(values) == 2:
        return "class", f"it has two values, {values[0]:g} and {values[1]:g}"
    if len(values) > _FEW_VALUES or not bool((values == np.rint(values)).all()):
        return "number", f"it has {len(values):,} different numbers, {values[0]:g} to {values[-1]:g}"
    if target.strip().lower() in _CLASSES:
        return "class", f"its name says so, and it has {len(values)} different numbers"
    raise UserError(
        f"{rows.name}: the target {target} has {len(values)} whole numbers, {values[0]:g} to {values[-1]:g}: classes, "
        "or amounts?",
        "say it: --predict class (each is a kind of its own), or --predict number (5 is nearer to 4 than to 1)",
    )
