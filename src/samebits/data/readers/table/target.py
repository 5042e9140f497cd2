"""The column to predict: a number or a class."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError, listed
from samebits.data.readers.table.columns import Column, Int64, as_category, odd_texts
from samebits.data.readers.table.store import picked
from samebits.params.table import TableParams

_MOST_CLASSES = 1000
_FEW_VALUES = 20
_MOST_MARKED = 0.2
"""Share of the rows whose target says one mark of data.table.missing, beyond which it is taken for a class."""

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes:
        values: numbers float32 [n] or [n, K], classes int64 [n], or labels uint8 [n, K].
        exact: as they stand in the file, float64 [n]; of classes, their indices; of several columns, the first's.
        names: of the columns of a vector.
        parts: of labels and vectors, each by itself as a class or a number.
        bad: rows without a usable target, with the reason.
        meaning: a phrase for people.
    """

    name: str
    kind: Literal["number", "class", "labels", "vector"]
    values: npt.NDArray[Any]
    exact: npt.NDArray[np.float64]
    classes: tuple[str, ...]
    bad: dict[int, str]
    meaning: str
    names: tuple[str, ...] = ()
    parts: tuple[Target, ...] = ()

    def select(self, rows: Int64, folder: Path) -> Target:
        """The same of some rows."""
        parts = tuple(each.select(rows, folder) for each in self.parts)
        values, exact = (picked(array, rows, folder) for array in (self.values, self.exact))
        return replace(self, values=values, exact=exact, bad={}, parts=parts)


def read_target(column: Column, settings: TableParams, wanted: str) -> Target:
    """The target by `data.target_kind`, `wanted`.

    Raises:
        UserError: dates, text where a number is wanted, one class, a class of one row, or free text.
    """
    name = column.name
    if column.kind == "date":
        raise UserError(f"the target {name} is a date", "make a number of it (days since some day), or name another")
    if not (~column.missing).any():
        raise UserError(f"the target {name} is missing in every row", "set data.table.target to another column")
    if wanted == "number" and column.kind == "category":
        example = column.labels[0]
        raise UserError(
            f"data.target_kind is number, but the target {name} holds text, such as {example!r}",
            "set data.target_kind: class, or data.table.decimal if these are numbers",
        )
    different = np.unique(column.values[~column.missing])
    if wanted == "class" or column.kind == "category" or (wanted == "auto" and len(different) == 2):
        return _classes(as_category(column), settings)
    return _numbers(column, different)


def _numbers(column: Column, different: npt.NDArray[Any]) -> Target:
    bad = {int(row): f"target {column.name}: {cell[:40]!r} is no finite number" for row, cell in column.bad.items()}
    for row, reason in _missing(column, "").items():
        bad.setdefault(row, reason)
    with np.errstate(invalid="ignore"):
        for row in np.flatnonzero(np.abs(column.values) > _LARGEST).tolist():
            bad.setdefault(row, f"target {column.name}: {column.texts[row]} is beyond float32")
    if len(different) < 2:
        raise UserError(
            f"the target {column.name} is {different[0]:g} in every row: there is nothing to learn",
            "set data.table.target to another column",
        )
    few = len(different) <= _FEW_VALUES and bool((different == np.rint(different)).all())
    with np.errstate(over="ignore"):
        values = column.values.astype(np.float32)
    return Target(
        column.name,
        "number",
        values,
        column.values,
        (),
        bad,
        f"a number, {different[0]:g} to {different[-1]:g}"
        + (f", only {len(different)} different ones (data.target_kind: class makes classes of them)" * few),
    )


def _missing(column: Column, hint: str) -> dict[int, str]:
    """The rows without a target, and why: of a cell that says something, what it says."""
    reasons = dict.fromkeys(np.flatnonzero(column.missing).tolist(), f"target {column.name} is missing")
    for mark, rows in column.marks.items():
        reasons.update(
            dict.fromkeys(
                rows.tolist(),
                f"target {column.name} is missing: its cell says {mark!r}, which data.table.missing lists{hint}",
            )
        )
    return reasons


def _classes(column: Column, settings: TableParams) -> Target:
    name, labels = column.name, column.labels
    codes = column.values.astype(np.int64)
    for mark, rows in column.marks.items():
        if len(rows) > _MOST_MARKED * len(codes):
            others = json.dumps([each for each in settings.missing if each != mark], ensure_ascii=False)
            raise UserError(
                f"the target {name} is {mark!r} in {len(rows):,} of {len(codes):,} rows; data.table.missing lists it",
                f"if that is a class, set data.table.missing: {others}; if not, take these rows out of the file",
            )
    bad = _missing(column, "; if that is a class, take it out of that list")
    for row, cell in column.bad.items():
        bad[row] = f"target {name}: {cell[:40]!r} is no value"
    counts = np.bincount(codes[codes >= 0], minlength=len(labels))
    if len(labels) < 2:
        raise UserError(
            f"the target {name} has one class, {labels[0]!r}: there is nothing to learn",
            "set data.table.target to another column",
        )
    if len(labels) > _MOST_CLASSES or len(labels) * 2 > counts.sum():
        odd = odd_texts(labels, "," if settings.decimal == "," else ".")
        raise UserError(
            f"the target {name} has {len(labels):,} different texts in {counts.sum():,} rows, such as {labels[0]!r}: "
            "these are no classes" + (f"; all but {', '.join(map(repr, odd))} are numbers" if odd else ""),
            "set data.table.target to another column; if they are numbers, set data.table.decimal or .missing",
        )
    # One row cannot be trained on and judged by, and most often its class was mistyped.
    for row in np.flatnonzero((codes >= 0) & (counts[codes] == 1)).tolist():
        bad[row] = f"target {name}: the only row of the class {labels[codes[row]][:40]!r}"
    kept = np.flatnonzero(counts > 1)
    if len(kept) < 2:
        raise UserError(
            f"the target {name} has one class of more than one row, {labels[kept[0]]!r}", "add rows of another class"
        )
    codes = np.where(codes >= 0, np.searchsorted(kept, codes), -1)
    labels, counts = tuple(labels[k] for k in kept), counts[kept]
    return Target(
        name,
        "class",
        codes,
        codes.astype(np.float64),
        labels,
        bad,
        f"{len(labels)} classes, {int(counts.min()):,} to {int(counts.max()):,} rows each: {listed(labels, 12)}",
    )
