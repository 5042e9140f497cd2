"""What the columns of a table are: numbers, categories, dates, booleans; and their values in numpy arrays.

A column comes as arrow strings (CSV) or as the type that a Parquet file gives it. Whatever comes out has one entry a
row and knows which are missing and which are no such value. Rows are read in parts, so that memory hardly grows with
them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from samebits.base.errors import UserError
from samebits.data.readers import cells
from samebits.data.readers.cells import Decimal
from samebits.data.readers.table.store import new_array, parts
from samebits.data.readers.table.texts import MOST_COUNTED, Cells, Texts, Written
from samebits.params.table import TableParams

Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_MOSTLY = 0.9
"""Share of a column's cells that must be numbers (or dates) for the others to be mistakes."""

_FEW_ODD = 3

_FIRST_SECOND, _LAST_SECOND = (cells.seconds_of(each.replace(microsecond=0)) for each in (datetime.min, datetime.max))
_SECONDS_A_YEAR = 31_556_952


@dataclass(frozen=True)
class Column:
    """One column, read.

    Attributes:
        values: numbers float64 [n], NaN where missing; dates int64 [n], seconds since 1970; else codes int64 [n].
        missing: bool [n].
        texts: of each row.
        labels: of the codes: the different texts, in sorted order.
        bad: rows whose cell is not of this kind, with the cell.
        marks: of each text that counts as missing, the rows whose cell says it; empty cells are no text.
        grouped: whether thousands are grouped in its numbers.
    """

    name: str
    kind: Literal["number", "category", "date"]
    values: npt.NDArray[Any]
    missing: Bools
    texts: Texts
    labels: tuple[str, ...] = ()
    bad: dict[int, str] = field(default_factory=dict)
    marks: dict[str, Int64] = field(default_factory=dict)
    grouped: bool = False


def decide_decimal(columns: dict[str, Cells], wanted: str) -> Decimal:
    """The decimal mark of a CSV.

    Raises:
        UserError: if a column could be read either way.
    """
    if wanted != "auto":
        return "," if wanted == "," else "."
    doubtful: dict[str, tuple[str, str]] = {}
    point = False
    for name, column in columns.items():
        of_comma = _share(column, lambda text: cells.number(text, ","))
        of_point = _share(column, lambda text: cells.number(text, "."))
        if max(of_comma, of_point) < _MOSTLY:
            continue
        if of_point < _MOSTLY:
            return ","
        point = point or any(
            cells.number(text, ",") is None for text in column.labels() if cells.number(text, ".") is not None
        )
        for mark in ",.":
            first = min((text for text in column.labels() if mark in text), default=None)
            marked = (text for text in column.labels() if mark in text)
            if first is not None and of_comma >= _MOSTLY and all(map(cells.is_ambiguous, marked)):
                doubtful.setdefault(mark, (name, first))
    # Where another number has a decimal point, a point is no thousands mark.
    if point:
        doubtful.pop(".", None)
    for mark, (name, text) in doubtful.items():
        raise UserError(
            f"column {name}: {text!r} may be {text.replace(mark, '')} or {text.replace(mark, '.')}",
            f"set data.table.decimal to '{mark}' if that is the decimal mark, to '{'.' if mark == ',' else ','}' if it "
            "groups thousands",
        )
    return "."


def read_text_column(name: str, column: Cells, decimal: Decimal, settings: TableParams, folder: Path) -> Column:
    """A column of text as what it looks like, or as what the settings say it is.

    Args:
        folder: for what does not fit in memory.

    Raises:
        UserError: for a column named in `dates` whose cells are no dates.
    """
    if name in settings.categories:
        return _category(name, column, decimal, folder)
    if name in settings.dates or _share(column, lambda text: cells.moment(text, settings.date_format)) >= _MOSTLY:
        dates = _parsed(name, "date", column, lambda text: _seconds(text, settings), folder)
        if len(dates.bad) > (1.0 - _MOSTLY) * max(1, len(column)):
            row, cell = next(iter(dates.bad.items()))
            raise UserError(
                f"column {name} is in data.table.dates, but {cell!r} in row {row + 1} is no date",
                "set data.table.date_format to how it is written, such as '%d/%m/%Y'",
            )
        return dates
    if any(map(cells.is_code, column.labels())) or _share(column, cells.boolean) == 1.0:
        return _category(name, column, decimal, folder)
    if _share(column, lambda text: cells.number(text, decimal)) >= _MOSTLY:
        found = _parsed(name, "number", column, lambda text: cells.number(text, decimal), folder)
        return replace(found, grouped=any(cells.is_grouped(text, decimal) for text in column.labels()))
    return _category(name, column, decimal, folder)


def read_typed_column(name: str, column: Any, settings: TableParams, folder: Path) -> Column:
    """A column of a Parquet file, by the type it has there. Text is read like that of a CSV, with a decimal point.

    Args:
        folder: for what does not fit in memory.

    Raises:
        UserError: for lists, structs, binary data and whatever else is no single value.
    """
    kind = column.type
    if pa.types.is_null(kind):
        return _category(name, Cells(column.cast(pa.string()), settings.missing), ".", folder)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        decimal: Decimal = "," if settings.decimal == "," else "."
        return read_text_column(name, Cells(column, settings.missing), decimal, settings, folder)
    if pa.types.is_boolean(kind) or name in settings.categories:
        return _category(name, Cells(column, settings.missing), ".", folder)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _typed(name, "date", column, folder)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _typed(name, "number", column, folder)
    raise UserError(
        f"column {name} is of type {kind}, which is no number, text or date",
        f"leave it out (data.table.drop: [{name}]), or make numbers of it before",
    )


def as_category(column: Column) -> Column:
    """A column of numbers as the classes that they stand for, in rising order: `0`, `1`, not `0.0`."""
    if column.kind != "number":
        return column
    different = np.unique(column.values[~column.missing])
    codes = np.searchsorted(different, column.values).astype(np.int64)
    codes[column.missing] = -1
    labels = tuple(f"{value:.15g}" for value in different.tolist())
    return Column(column.name, "category", codes, column.missing, column.texts, labels, column.bad, column.marks)


def _typed(name: str, kind: Literal["number", "date"], column: Any, folder: Path) -> Column:
    """A column of numbers, or of dates as seconds."""
    values = new_array((len(column),), np.float64 if kind == "number" else np.int64, folder)
    missing = new_array((len(column),), np.bool_, folder)
    bad: dict[int, str] = {}
    for rows in parts(len(column)):
        part = column.slice(rows.start, rows.stop - rows.start)
        if kind == "number":
            numbers = part.cast(pa.float64(), safe=False).fill_null(float("nan"))
            values[rows] = numbers.to_numpy(zero_copy_only=False)
            missing[rows] = np.isnan(values[rows])
            wrong = rows.start + np.flatnonzero(np.isinf(values[rows]))
            bad |= {row: str(values[row]) for row in wrong.tolist()}
        else:
            seconds = part.cast(pa.timestamp("s"), safe=False).cast(pa.int64()).fill_null(0)
            values[rows] = seconds.to_numpy(zero_copy_only=False)
            missing[rows] = part.is_null().to_numpy(zero_copy_only=False)
            far = rows.start + np.flatnonzero((values[rows] < _FIRST_SECOND) | (values[rows] > _LAST_SECOND))
            bad |= {row: f"year {1970 + int(values[row]) // _SECONDS_A_YEAR}" for row in far.tolist()}
            values[far] = 0
    return Column(name, kind, values, missing, Written(values, missing), bad=bad)


def _parsed(
    name: str,
    kind: Literal["number", "date"],
    column: Cells,
    parse: Callable[[str], float | int | None],
    folder: Path,
) -> Column:
    """Each different text is parsed once, in each part where there are many."""
    dtype, parsed_once = (np.float64 if kind == "number" else np.int64), functools.lru_cache(MOST_COUNTED)(parse)
    values = new_array((len(column),), dtype, folder)
    missing = new_array((len(column),), np.bool_, folder)
    bad: dict[int, str] = {}
    marks: dict[str, list[Int64]] = {}
    for rows in parts(len(column)):
        codes, texts, of_part = column.coded(rows)
        parsed = [parsed_once(text) for text in texts]
        wrong = np.array([value is None or not np.isfinite(value) for value in parsed] + [False])
        table = np.array([0 if value is None or not np.isfinite(value) else value for value in parsed] + [0], dtype)
        values[rows], missing[rows] = table[codes], codes == -1
        if kind == "number":
            values[rows][missing[rows]] = np.nan
        bad |= {rows.start + row: texts[codes[row]] for row in np.flatnonzero(wrong[codes]).tolist()}
        _mark(marks, of_part)
    return Column(name, kind, values, missing, column, bad=bad, marks=_marked(marks))


def _category(name: str, column: Cells, decimal: Decimal, folder: Path) -> Column:
    """Categories; where they are numbers or truth values, those that are written in several ways are one."""
    labels = column.different
    if cells.are_values(labels, decimal):
        one = {label: cells.one_text(label, decimal) for label in labels}
        labels = sorted(set(one.values()))
    else:
        one = {}
    place = {label: at for at, label in enumerate(labels)}
    values = new_array((len(column),), np.int64, folder)
    missing = new_array((len(column),), np.bool_, folder)
    marks: dict[str, list[Int64]] = {}
    for rows in parts(len(column)):
        codes, texts, of_part = column.coded(rows)
        values[rows] = np.array([*(place[one.get(text, text)] for text in texts), -1], dtype=np.int64)[codes]
        missing[rows] = codes == -1
        _mark(marks, of_part)
    return Column(name, "category", values, missing, column, tuple(labels), marks=_marked(marks))


def _mark(marks: dict[str, list[Int64]], of_part: dict[str, Int64]) -> None:
    for text, rows in of_part.items():
        marks.setdefault(text, []).append(rows)


def _marked(marks: dict[str, list[Int64]]) -> dict[str, Int64]:
    return {text: np.concatenate(rows) for text, rows in marks.items()}


def odd_texts(labels: Sequence[str], decimal: Decimal) -> list[str]:
    """The texts that keep a column from being numbers, if they are few: most often marks for missing values."""
    odd = [text for text in labels if cells.number(text, decimal) is None]
    return odd if odd and len(odd) <= _FEW_ODD and len(odd) * 5 < len(labels) else []


def _share(column: Cells, parse: Callable[[str], object]) -> float:
    """Of the cells that are not missing, the share that `parse` takes; 0 without any."""
    total, taken = 0, 0
    for text, count in column.counts():
        total += count
        taken += count * (parse(text) is not None)
    return taken / total if total else 0.0


def _seconds(text: str, settings: TableParams) -> int | None:
    moment = cells.moment(text, settings.date_format)
    return None if moment is None else cells.seconds_of(moment)
