"""Answers for the rows of a table by an exported model, by ONNX Runtime alone: no torch, no project.

Columns are found by their names, categories by their values, both from the model's own metadata. So the CSV or Parquet
file may have its columns in any order and more of them; missing cells are allowed wherever a table has them.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError, listed
from samebits.base.registry import nearest
from samebits.data.readers import cells
from samebits.inference import predictor
from samebits.inference.items import Given, Item
from samebits.inference.rows import RowFile, has_rows

_BLOCK = 1 << 20
_BATCH = 4096

_LARGEST = float(np.finfo(np.float32).max)
_DIGITS, _LONGEST = frozenset("0123456789+-.eE"), 40

Cells = Mapping[str, Sequence[Any]]
"""Cells of each column: texts; from Parquet also numbers, truth values, dates and None."""


class Kind(predictor.Kind):
    """Answers for the rows of CSV, JSON Lines and Parquet files."""

    noun = "the rows of a table"
    usual_format = "csv"
    stdin = ("csv", "jsonl")

    def open_model(self) -> None:
        self.session.require_inputs({"rows": ("float", 2)})

    @property
    def batch(self) -> int:
        return _BATCH

    def takes(self, name: str) -> bool:
        return has_rows(Path(name))

    def is_list(self, path: Path) -> bool:
        return True

    def wanted(self) -> list[str]:
        return _wanted_columns(self.inputs)

    def require_columns(self, names: list[str], file: str) -> None:
        self._extra = _chosen(names, self.wanted(), file, self.request.id)

    def csv_options(self, path: Path) -> dict[str, Any]:
        encoding = self.inputs.get("encoding")
        return {
            "separator": self.inputs.get("separator"),
            "quotes": self.inputs.get("quotes", True),
            "encoding": encoding if encoding and _needs_encoding(path) else None,
        }

    def open_rows(self, given: Given) -> RowFile:
        found = super().open_rows(given)
        found.notes += self._extra
        return found

    def of_row(self, row: Mapping[str, Any], name: str, given: Given) -> Item:
        return Item(name, row)

    def of_value(self, value: Any, name: str) -> Item:
        """Of a mapping of columns to cells: texts, numbers, truth values, None."""
        if not isinstance(value, Mapping):
            return Item(name, error=f"it is {type(value).__name__}, no object of columns and cells")
        if missing := [column for column in self.wanted() if column not in value]:
            return Item(name, error=f"it has no {listed(missing)}; a cell may be null")
        cells_here = {column: value[column] for column in self.wanted()}
        if bad := [column for column, cell in cells_here.items() if isinstance(cell, list | dict)]:
            return Item(name, error=f"{listed(bad)} is no cell: give a text, a number, true, false or null")
        return Item(name, cells_here)

    def example(self) -> dict[str, Any]:
        return example_row(self.inputs)

    def ready(self, items: Sequence[Item]) -> predictor.Ready:
        # The columns that are wanted come first in each row, in their order.
        columns = dict(zip(self.wanted(), zip(*(item.value.values() for item in items), strict=True), strict=False))
        rows, notes, errors = encode(columns, self.inputs)
        good = [place for place in range(len(items)) if place not in errors]
        return predictor.Ready(rows[good], good, [notes.get(place, ()) for place in good], errors)


def input_of(model: Path, preprocessing: dict[str, Any]) -> Callable[[Any], npt.NDArray[np.float32]]:
    """From a mapping of columns to values to what the model takes, float32 [columns]; more columns may be there.

    The function raises UserError for a column that is missing, or a cell that is no number.
    """
    wanted = _wanted_columns(preprocessing)

    def take(value: Any) -> npt.NDArray[np.float32]:
        row = dict(value)
        _chosen([*row], wanted, "the row")
        rows, _, errors = encode({name: [row[name]] for name in wanted}, preprocessing)
        if errors:
            raise UserError(f"the row: {errors[0]}", "fix it, or leave the cell empty")
        return rows.reshape(-1)

    return take


def encode(
    columns: Cells, inputs: Mapping[str, Any]
) -> tuple[npt.NDArray[np.float32], dict[int, list[str]], dict[int, str]]:
    """Columns of cells as the rows that the model takes, float32 [n, columns]; notes on some of them, by place; and why
    others cannot be used: a cell that is no number or date, or a number that can be read in two ways.

    Args:
        inputs: the model's `preprocessing`: its columns, missing marks and decimal mark.
    """
    notes: dict[int, list[str]] = {}
    errors: dict[int, str] = {}
    missing, decimal = {*inputs["missing"], "", None}, inputs["decimal"]
    rows = np.full((len(next(iter(columns.values()))), len(inputs["columns"])), np.nan, dtype=np.float32)
    for at, column in enumerate(inputs["columns"]):
        name = column.get("source") or column["name"]
        found = columns[name]
        if column["kind"] == "number" and (plain := _plain_numbers(found, column, decimal)) is not None:
            rows[:, at] = plain
            continue
        found = [cell.strip() if isinstance(cell, str) else cell for cell in found]
        if column["kind"] == "category":
            codes = {value: code for code, value in enumerate(column["values"], start=1)}
            joined = cells.are_values(codes)
            known = {cell: _code(cell, codes, decimal, joined) for cell in set(found)}
            rows[:, at] = [known[cell] for cell in found]
            if unknown := {cell for cell, code in known.items() if not code and cell not in missing}:
                for place, cell in enumerate(found):
                    if cell in unknown:
                        notes.setdefault(place, []).append(f"{name}: {str(cell)!r:.60} unknown to the model")
            continue
        values = {cell: math.nan if cell in missing else _value(cell, column, decimal) for cell in set(found)}
        wrong = {
            cell: f"{str(cell)[:40]!r} in column {name} is no {_wanted(column)}"
            for cell, value in values.items()
            if value is None
        }
        wrong |= _unclear(values, column, decimal)
        for place, cell in enumerate(found):
            if cell in wrong:
                errors.setdefault(place, wrong[cell])
            else:
                rows[place, at] = values[cell]
    return rows, notes, errors


def _plain_numbers(
    found: Sequence[Any], column: Mapping[str, Any], decimal: cells.Decimal
) -> npt.NDArray[np.float64] | None:
    """A column of nothing but plain numbers and empty cells, many times faster than cell by cell; None for others.

    What `float` takes of these characters is what `cells.number` takes.
    """
    if decimal != "." or column.get("part") or set(map(type, found)) != {str}:
        return None
    if not _DIGITS.issuperset("".join(found)) or max(map(len, found)) > _LONGEST:
        return None
    try:
        values = np.array([float(cell) if cell else math.nan for cell in found])
    except ValueError:
        return None
    return None if (np.abs(values) > _LARGEST).any() else values


def _code(cell: Any, codes: dict[str, int], decimal: cells.Decimal, joined: bool) -> int:
    """The number of a category; 0 for one that is unknown. `joined`: whether `3.0` and `3` are one."""
    text = str(cell)
    code = codes.get(text, 0)
    return code or (codes.get(cells.one_text(text, decimal if isinstance(cell, str) else "."), 0) if joined else 0)


def _wanted(column: dict[str, Any]) -> str:
    if column.get("part"):
        return f"date like {column.get('format') or '2025-12-31'}"
    return "finite number"


def _value(cell: Any, column: dict[str, Any], decimal: cells.Decimal) -> float | None:
    if column.get("part"):
        date = cells.moment(cell, column.get("format")) if isinstance(cell, str) else cells.as_moment(cell)
        return None if date is None else cells.date_part(date, column["part"])
    try:
        value = cells.number(cell, decimal) if isinstance(cell, str) else float(cell)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if value is not None and not abs(value) > _LARGEST else None


def _unclear(found: Iterable[Any], column: dict[str, Any], decimal: cells.Decimal) -> dict[Any, str]:
    """Cells such as `5.000` where the model knows decimal commas and no thousands marks: it is 5 as often as 5000."""
    if column.get("grouped") or column.get("part"):
        return {}
    other = "." if decimal == "," else ","
    clear = f"the model knows the decimal mark {decimal!r} and no thousands marks"
    return {
        cell: f"{cell!r} in column {column['name']} may be {cell.replace(other, '')} or "
        f"{cell.replace(other, decimal)}: {clear}"
        for cell in found
        if isinstance(cell, str) and other in cell and cells.is_ambiguous(cell)
    }


def example_row(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A row that the model answers: of numbers the mean, of categories one that it knows, no date."""
    row = {}
    for each in inputs["columns"]:
        value = (each["values"] or [None])[0] if each["kind"] == "category" else each["mean"]
        row[each.get("source") or each["name"]] = None if each.get("part") else value
    return row


def _wanted_columns(inputs: dict[str, Any]) -> list[str]:
    """Names of the columns of a file that the model needs."""
    return list(dict.fromkeys(column.get("source") or column["name"] for column in inputs["columns"]))


def _needs_encoding(path: Path) -> bool:
    """Whether a file is no UTF-8, so that the training file's encoding counts."""
    reader = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            try:
                if "\0" in reader.decode(block):
                    return True
            except UnicodeDecodeError:
                return True
    return False


def _chosen(names: list[str], wanted: list[str], file: str, id_column: str | None = None) -> list[str]:
    """Notes on the columns that are there.

    Raises:
        UserError: naming all that are not.
    """
    absent = [name for name in wanted if name not in names]
    if absent:
        guesses = [f"{guess!r} may be {name!r}" for name in absent if (guess := nearest(name, names))]
        raise UserError(
            f"{file} lacks {len(absent)} of the {len(wanted)} columns that the model needs: {', '.join(absent)}",
            "; ".join([*guesses[:3], "add them (leave cells empty where a value is not known)"]),
        )
    extra = [name for name in names if name not in wanted and name != id_column]
    return [f"columns that the model does not use: {', '.join(extra)}"] if extra else []
