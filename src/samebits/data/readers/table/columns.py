"""What the columns of a table are: numbers, categories, dates, booleans; and their values in numpy arrays.

A column comes as arrow strings (CSV) or as the type that a Parquet file gives it. Whatever comes out has one entry a
row and knows which are missing and which are no such value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from samebits.base.errors import UserError
from samebits.data.readers import cells
from samebits.data.readers.cells import Decimal
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
        labels: of the codes: the different texts, in sorted order.
        bad: rows whose cell is not of this kind, with the cell.
        marks: of each text that counts as missing, the rows whose cell says it; empty cells are no text.
        grouped: whether thousands are grouped in its numbers.
        texts: of each row, the cell as text, "" where missing; what a sample's hash is made of.
    """

    name: str
    kind: Literal["number", "category", "date"]
    values: npt.NDArray[Any]
    missing: Bools
    texts: Any
    labels: tuple[str, ...] = ()
    bad: dict[int, str] = field(default_factory=dict)
    marks: dict[str, Int64] = field(default_factory=dict)
    grouped: bool = False


@dataclass(frozen=True)
class Coded:
    """Text as a dictionary: `codes` int64 [n] into `labels`, -1 where missing; `marks` as of `Column`."""

    codes: Int64
    labels: list[str]
    marks: dict[str, Int64] = field(default_factory=dict)

    @property
    def missing(self) -> Bools:
        return np.equal(self.codes, -1)

    def counts(self) -> Int64:
        """Rows of each label."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.labels))


def coded(column: Any, missing: list[str]) -> Coded:
    """Arrow strings as codes into their sorted different values; the texts in `missing` are missing."""
    encoded = pc.dictionary_encode(column)
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    if isinstance(encoded, pa.ChunkedArray):  # no row at all
        return Coded(np.empty(0, dtype=np.int64), [])
    raw = encoded.dictionary.to_pylist()
    indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    gone = set(missing)
    labels = sorted({text for text in raw if text not in gone})
    place = {text: at for at, text in enumerate(labels)}
    lookup = np.array([place.get(text, -1) for text in raw] + [-1], dtype=np.int64)
    marks = {text: np.flatnonzero(indices == at) for at, text in enumerate(raw) if text and text in gone}
    return Coded(lookup[indices], labels, marks)


def decide_decimal(columns: dict[str, Coded], wanted: str) -> Decimal:
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
            cells.number(text, ",") is None for text in column.labels if cells.number(text, ".") is not None
        )
        for mark in ",.":
            marked = [text for text in column.labels if mark in text]
            if marked and of_comma >= _MOSTLY and all(map(cells.is_ambiguous, marked)):
                doubtful.setdefault(mark, (name, marked[0]))
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


def read_text_column(name: str, column: Coded, decimal: Decimal, settings: TableParams) -> Column:
    """A column of text as what it looks like, or as what the settings say it is.

    Raises:
        UserError: for a column named in `dates` whose cells are no dates.
    """
    texts = _texts(column)
    if name in settings.categories:
        return _category(name, column, texts, decimal)
    if name in settings.dates or _share(column, lambda text: cells.moment(text, settings.date_format)) >= _MOSTLY:
        dates = _parsed(name, "date", column, texts, lambda text: _seconds(text, settings))
        if len(dates.bad) > (1.0 - _MOSTLY) * max(1, len(column.codes)):
            row, cell = next(iter(dates.bad.items()))
            raise UserError(
                f"column {name} is in data.table.dates, but {cell!r} in row {row + 1} is no date",
                "set data.table.date_format to how it is written, such as '%d/%m/%Y'",
            )
        return dates
    if any(cells.is_code(text) for text in column.labels) or _share(column, cells.boolean) == 1.0:
        return _category(name, column, texts, decimal)
    if _share(column, lambda text: cells.number(text, decimal)) >= _MOSTLY:
        found = _parsed(name, "number", column, texts, lambda text: cells.number(text, decimal))
        return replace(found, grouped=any(cells.is_grouped(text, decimal) for text in column.labels))
    return _category(name, column, texts, decimal)


def read_typed_column(name: str, column: Any, settings: TableParams) -> Column:
    """A column of a Parquet file, by the type it has there. Text is read like that of a CSV, with a decimal point.

    Raises:
        UserError: for lists, structs, binary data and whatever else is no single value.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_null(kind):
        return _category(name, Coded(np.full(len(column), -1, dtype=np.int64), []), np.full(len(column), ""), ".")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        found = coded(pc.utf8_trim_whitespace(column.cast(pa.string())), settings.missing)
        decimal: Decimal = "," if settings.decimal == "," else "."
        return read_text_column(name, found, decimal, settings)
    if pa.types.is_boolean(kind) or name in settings.categories:
        found = coded(column.cast(pa.string()), settings.missing)
        return _category(name, found, _texts(found), ".")
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        seconds = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64()).fill_null(0)
        values: npt.NDArray[Any] = seconds.to_numpy(zero_copy_only=False).copy()
        far = np.flatnonzero((values < _FIRST_SECOND) | (values > _LAST_SECOND)).tolist()
        bad = {row: f"year {1970 + int(values[row]) // _SECONDS_A_YEAR}" for row in far}
        values[far] = 0
        return Column(name, "date", values, missing, _strings(values, missing), bad=bad)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = column.cast(pa.float64(), safe=False).fill_null(float("nan"))
        values = numbers.to_numpy(zero_copy_only=False).copy()
        missing = np.isnan(values)
        bad = {int(row): str(values[row]) for row in np.flatnonzero(np.isinf(values))}
        return Column(name, "number", values, missing, _strings(values, missing), bad=bad)
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


def _parsed(
    name: str,
    kind: Literal["number", "date"],
    column: Coded,
    texts: Any,
    parse: Callable[[str], float | int | None],
) -> Column:
    """Each different text is parsed once."""
    parsed = [parse(text) for text in column.labels]
    wrong = np.array([value is None or not np.isfinite(value) for value in parsed] + [False])
    table = np.array([0 if value is None or not np.isfinite(value) else value for value in parsed] + [0])
    missing = column.missing
    values = table[column.codes].astype(np.float64 if kind == "number" else np.int64)
    if kind == "number":
        values[missing] = np.nan
    bad = {int(row): column.labels[column.codes[row]] for row in np.flatnonzero(wrong[column.codes])}
    return Column(name, kind, values, missing, texts, bad=bad, marks=column.marks)


def _category(name: str, column: Coded, texts: Any, decimal: Decimal) -> Column:
    """Categories; where they are numbers or truth values, those that are written in several ways are one."""
    codes, labels = column.codes, column.labels
    if cells.are_values(labels, decimal):
        of_label = [cells.one_text(label, decimal) for label in labels]
        labels = sorted(set(of_label))
        place = {label: at for at, label in enumerate(labels)}
        codes = np.array([*(place[label] for label in of_label), -1], dtype=np.int64)[codes]
    return Column(name, "category", codes, column.missing, texts, tuple(labels), marks=column.marks)


def odd_texts(labels: Sequence[str], decimal: Decimal) -> list[str]:
    """The texts that keep a column from being numbers, if they are few: most often marks for missing values."""
    odd = [text for text in labels if cells.number(text, decimal) is None]
    return odd if odd and len(odd) <= _FEW_ODD and len(odd) * 5 < len(labels) else []


def _texts(column: Coded) -> Any:
    return np.array([*column.labels, ""], dtype=object)[column.codes]


def _strings(values: npt.NDArray[Any], missing: Bools) -> Any:
    texts = np.array([repr(value) for value in values.tolist()], dtype=object)
    texts[missing] = ""
    return texts


def _share(column: Coded, parse: Callable[[str], object]) -> float:
    """Of the cells that are not missing, the share that `parse` takes; 0 without any."""
    counts = column.counts()
    total = int(counts.sum())
    taken = sum(int(n) for text, n in zip(column.labels, counts, strict=True) if parse(text) is not None)
    return taken / total if total else 0.0


def _seconds(text: str, settings: TableParams) -> int | None:
    moment = cells.moment(text, settings.date_format)
    return None if moment is None else cells.seconds_of(moment)
