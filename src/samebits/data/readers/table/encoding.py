"""Columns of a table as float32 rows: what is fitted on the training split, and what that split says about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.data.readers.cells import DATE_PARTS_OF_DAY, Decimal, date_part, formats_of, moment_of
from samebits.data.readers.reader import Encoded, Raw
from samebits.data.readers.table.columns import Column, Floats, Int64, odd_texts
from samebits.data.readers.table.leakage import require_no_leaks
from samebits.data.readers.table.store import picked, stored
from samebits.data.readers.table.target import Target
from samebits.data.readers.table.texts import Texts, Written
from samebits.params.data import DataParams
from samebits.params.table import TableParams
from samebits.signature.signature import Signature
from samebits.signature.table import DATE_PARTS, CategoryColumn, NumberColumn, TableInputs

_MOST_VALUES = 10_000
_DIVERSE_FROM, _DIVERSE_SHARE = 50, 0.2
_EXACT_IN_FLOAT32 = 2**24
_LEAST_SPREAD, _MOST_SPREAD = 1e-30, 1e30
"""Of a column: its inverse, its square and ten times its values must be numbers of float32, too."""

_LOOK = "add columns, or take some out of data.table.drop"


@dataclass(frozen=True)
class Features:
    """The columns that are inputs, of usable rows alone.

    Attributes:
        ids: names of those that number the rows.
        folder: for what does not fit in memory.
    """

    columns: tuple[Column, ...]
    decimal: Decimal
    ids: tuple[str, ...]
    folder: Path

    @classmethod
    def select(
        cls, columns: Mapping[str, Column], rows: Int64, settings: TableParams, decimal: Decimal, folder: Path
    ) -> Features:
        """Some rows of the columns.

        Args:
            folder: for what does not fit in memory.

        Raises:
            UserError: for text that is too diverse to be categories, naming all such columns.
        """
        kept = tuple(_select(column, rows, folder) for column in columns.values())
        if len(rows) and not any(_varies(column.texts, rows) for column in columns.values()):
            raise UserError("every column is the same in all rows: there is nothing to learn from", _LOOK)
        _require_categories(kept, settings, decimal)
        ids = tuple(column.name for column in kept if column.kind == "number" and counts_rows(column.values))
        return cls(kept, decimal, ids, folder)


@dataclass
class _Fitted:
    """Columns of the stored rows, as they come."""

    folder: Path
    columns: list[NumberColumn | CategoryColumn] = field(default_factory=list)
    values: list[npt.NDArray[np.float32]] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    unseen: dict[str, dict[str, int]] = field(default_factory=dict)
    inexact: list[str] = field(default_factory=list)

    def add(self, column: NumberColumn | CategoryColumn, values: npt.NDArray[np.float32]) -> None:
        """One more column, float32 [n]."""
        self.columns.append(column)
        self.values.append(stored(values, self.folder))

    def rows(self, at: Int64) -> npt.NDArray[np.float32]:
        """Rows as they are stored, [k, columns]."""
        return np.stack([values[at] for values in self.values], axis=1)


def encode(
    raw: Raw,
    features: Features,
    target: Target,
    splits: Mapping[str, Int64],
    data: DataParams,
    notes: Sequence[str],
) -> Encoded:
    """Fit on the training split, encode every row.

    Raises:
        UserError: if columns give the target away, or nothing that varies is left to learn from.
    """
    settings, train = data.table, splits["train"]
    leaks = require_no_leaks(features.columns, target, train, settings)
    fitted = _Fitted(features.folder)
    for column in features.columns:
        _fit(column, splits, settings, fitted)
    if not fitted.columns:
        raise UserError("every column is the same in all training rows: there is nothing to learn from", _LOOK)
    inputs = TableInputs(
        columns=fitted.columns,
        missing=settings.missing,
        decimal=features.decimal,
        separator=data.csv.separator,
        quotes=data.csv.quotes,
        encoding=data.encoding,
    )
    signature = Signature(inputs=inputs, target=raw.fitted_target(train))
    gaps = {column.name: int(column.missing.sum()) for column in features.columns if column.missing.any()}
    marks = {column.name: {mark: len(of) for mark, of in column.marks.items()} for column in features.columns}
    marks = {name: found for name, found in marks.items() if found}
    audit = {
        "columns": {column.name: column.kind for column in features.columns},
        "missing": gaps,
        "missing_marks": marks,
        "constant_columns": fitted.constant,
        "unseen_categories": fitted.unseen,
        "row_counters": list(features.ids),
        "beyond_float32": fitted.inexact,
        "leaks": leaks,
    }
    remarks = (*notes, *_remarks(features, fitted, gaps, marks, leaks))
    return Encoded(
        signature,
        {name: raw.subset(of, fitted.rows) for name, of in splits.items()},
        audit=audit,
        remarks=remarks,
    )


def _select(column: Column, rows: Int64, folder: Path) -> Column:
    """Some rows; nobody asks for their texts any more."""
    marks = {mark: found for mark, of in column.marks.items() if len(found := np.intersect1d(of, rows))}
    values, missing = (picked(array, rows, folder) for array in (column.values, column.missing))
    return replace(column, values=values, missing=missing, texts=Written(values, missing), bad={}, marks=marks)


def _varies(texts: Texts, rows: Int64) -> bool:
    """Whether not all of some rows hold the same text."""
    first = texts[int(rows[0])]
    used = np.zeros(len(texts), dtype=np.bool_)
    used[rows] = True
    return any(text != first for text in compress(texts, used))


def _require_categories(columns: Sequence[Column], settings: TableParams, decimal: Decimal) -> None:
    """Refuse free text: a category that hardly ever comes again teaches nothing."""
    lines, fixes, names = [], [], []
    for column in columns:
        if column.name in settings.categories or not hardly_repeats(column):
            continue
        present = column.values[column.values >= 0]
        different = np.unique(present)
        texts = [column.labels[k] for k in different]
        what = "an id" if len(different) == len(present) else "text"
        if odd := odd_texts(texts, decimal):
            what = f"numbers, but for {', '.join(map(repr, odd))}"
            fixes.append(f"marks of missing values: add them to data.table.missing ({', '.join(map(repr, odd))})")
        elif formats := formats_of(texts):
            what = "dates"
            fixes.append(
                f"dates: data.table.dates: [{column.name}] and .date_format: {' or '.join(map(repr, formats))}"
            )
        else:
            names.append(column.name)
        lines.append(
            f"column {column.name} looks like {what}: {len(different):,} different values in {len(present):,} rows, "
            f"such as {texts[0][:40]!r}"
        )
    if names:
        fixes.append(
            f"leave out what is no category: data.table.drop: [{', '.join([*settings.drop, *names])}]; categories all "
            "the same: data.table.categories; dates: data.table.dates and .date_format"
        )
    if lines:
        raise UserError("\n    ".join(lines), "; ".join(fixes))


def hardly_repeats(column: Column) -> bool:
    """Whether a column of texts has too many different ones to be categories."""
    if column.kind != "category":
        return False
    present = column.values[column.values >= 0]
    most = min(max(_DIVERSE_FROM, int(_DIVERSE_SHARE * len(present))), _MOST_VALUES)
    return len(np.unique(present)) > most


def counts_rows(values: npt.NDArray[Any]) -> bool:
    """Whether a column numbers the rows: whole numbers, each one more than the one before."""
    return len(values) > 2 and bool(np.isfinite(values).all()) and bool((np.diff(values) == 1).all())


def _fit(column: Column, splits: Mapping[str, Int64], settings: TableParams, fitted: _Fitted) -> None:
    if column.kind == "category":
        _fit_category(column, splits, fitted)
    elif column.kind == "number":
        _fit_number(column.name, column.values, splits["train"], settings, fitted, {"grouped": column.grouped})
    else:
        for part, values in _date_parts(column):
            source = {"source": column.name, "part": part, "format": settings.date_format}
            _fit_number(f"{column.name}.{part}", values, splits["train"], settings, fitted, source)


def _fit_number(
    name: str, exact: Floats, train: Int64, settings: TableParams, fitted: _Fitted, source: Mapping[str, Any] = {}
) -> None:
    values = exact.astype(np.float32)
    seen = values[train].astype(np.float64)
    absent = np.isnan(seen)
    present = seen[~absent] if absent.any() else seen
    if not len(present) or (len(present) == len(seen) and present.min() == present.max()):
        fitted.constant.append(name)
        return
    spread = float(present.std())
    if spread and not _LEAST_SPREAD < spread < _MOST_SPREAD:
        raise UserError(
            f"column {name}: its values spread by {spread:g} (standard deviation), which float32 cannot compute with",
            f"multiply it by a power of ten, or leave it out: data.table.drop: [{', '.join([*settings.drop, name])}]",
        )
    edges = np.unique(np.quantile(present, np.linspace(0.0, 1.0, settings.edges + 1)))
    if (
        not source.get("source")
        and np.abs(present).max() > _EXACT_IN_FLOAT32
        and len(np.unique(exact)) > len(np.unique(values))
    ):
        fitted.inexact.append(name)
    fitted.add(
        NumberColumn(
            name=name,
            mean=float(present.mean()),
            std=spread,
            fill=float(np.median(present)),
            missing=len(present) < len(seen),
            edges=edges.tolist() if len(edges) > 1 else [],
            **source,
        ),
        values,
    )


def _fit_category(column: Column, splits: Mapping[str, Int64], fitted: _Fitted) -> None:
    seen = np.unique(column.values[splits["train"]])
    known = seen[seen >= 0]
    if len(seen) < 2:
        fitted.constant.append(column.name)
        return
    lookup = np.zeros(len(column.labels) + 1, dtype=np.float32)
    lookup[known] = np.arange(1, len(known) + 1)
    codes = lookup[column.values]
    fitted.add(CategoryColumn(name=column.name, values=[column.labels[k] for k in known]), codes)
    unseen = {name: int(((codes[rows] == 0) & ~column.missing[rows]).sum()) for name, rows in splits.items()}
    if any(unseen.values()):
        fitted.unseen[column.name] = {name: count for name, count in unseen.items() if count}


def _date_parts(column: Column) -> Iterator[tuple[str, Floats]]:
    """Each part with its values, float64 [n], NaN where the date is missing. A time of day only where there is one."""
    different, place = np.unique(column.values, return_inverse=True)
    moments = [moment_of(seconds) for seconds in different.tolist()]
    for part in DATE_PARTS:
        of_moment = np.array([date_part(moment, part) for moment in moments])
        if part in DATE_PARTS_OF_DAY and not of_moment.any():
            continue
        values = of_moment[place]
        values[column.missing] = np.nan
        yield part, values


def _remarks(
    features: Features,
    fitted: _Fitted,
    gaps: Mapping[str, int],
    marks: Mapping[str, Mapping[str, int]],
    leaks: Sequence[str],
) -> Iterator[str]:
    kinds = [column.kind for column in features.columns]
    counted = {"numbers": kinds.count("number"), "categories": kinds.count("category"), "dates": kinds.count("date")}
    yield "columns: " + ", ".join(f"{count} {kind}" for kind, count in counted.items() if count)
    if gaps:
        said = {name: ", ".join(f"{mark!r} {n:,}" for mark, n in found.items()) for name, found in marks.items()}
        yield "missing values: " + ", ".join(
            f"{name} {count:,}" + (f" (data.table.missing: {said[name]})" if name in said else "")
            for name, count in gaps.items()
        )
    if fitted.constant:
        yield f"left out, the same in all training rows: {', '.join(fitted.constant)}"
    for name, counts in fitted.unseen.items():
        shown = ", ".join(f"{count:,} in {split}" for split, count in counts.items())
        yield f"{name}: categories that training has not seen: {shown}; they count as unknown"
    if features.ids:
        verb, them = ("number", "them") if len(features.ids) > 1 else ("numbers", "it")
        yield f"{', '.join(features.ids)} {verb} the rows: put {them} into data.table.drop unless the order matters"
    if fitted.inexact:
        yield f"{', '.join(fitted.inexact)}: differences are lost in float32 (beyond 16,777,216); subtract a constant"
    yield from (f"gives the target away, data.table.allow_leaks is set: {leak}" for leak in leaks)
