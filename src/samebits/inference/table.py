"""Predict the rows of a table with an exported model, by ONNX Runtime alone: no torch, no project, just the .onnx file.

Columns are found by their names, categories by their values, both from the model's own metadata. So the CSV or Parquet
file may have its columns in any order and more of them; missing cells are allowed wherever a table has them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.base.files import csv_bytes, write_bytes
from samebits.base.registry import nearest
from samebits.base.result import Result
from samebits.data.readers import cells
from samebits.data.readers.csv_file import CsvFile
from samebits.inference.answer import answer_of
from samebits.inference.request import TOP, Request
from samebits.inference.session import Opened, Session
from samebits.signature.kind import TargetKind

_BATCH = 4096

Cells = dict[str, list[Any]]
"""Cells of each column: texts; from Parquet also numbers, truth values, dates and None."""


NOUN = "the rows of a table"
OPTIONS = frozenset({"output"})


def answer(request: Request, opened: Opened) -> TablePrediction:
    """Answers for the rows of a table, or where they were written.

    Raises:
        UserError: see `predict_table`; or if there is more than one file, or the output cannot be written.
    """
    if len(request.files) != 1:
        raise UserError(
            f"{len(request.files)} files were given, tables are predicted one at a time", "name one CSV or Parquet file"
        )
    found = replace(predict_table(request.files[0], *opened), output=request.output)
    if request.output is not None:
        try:
            write_bytes(request.output, found.csv().encode())
        except OSError as error:
            raise UserError(f"{request.output} cannot be written: {error.strerror}", "name another file") from None
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    return found


@dataclass(frozen=True)
class TablePrediction(Result):
    """The answers for the rows of one file.

    Attributes:
        header: names of the columns that the answer adds.
        rows: of each row, the cells of the answer.
        notes: what the user should know.
        answers: of each row, as the model gave them, float32 [n, ...].
        target: what they are of.
        output: a file that holds them as CSV; None: they are printed.
    """

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: tuple[str, ...]
    answers: npt.NDArray[np.float32] = field(compare=False, repr=False)
    target: TargetKind = field(compare=False, repr=False)
    output: Path | None = None

    def lines(self) -> Iterable[str]:
        return self.csv().removesuffix("\n").split("\n") if self.output is None else ()

    def json(self) -> dict[str, Any]:
        """The rows are in the file, where one was named."""
        rows = enumerate(self.answers if self.output is None else (), start=1)
        predictions = [answer_of(f"row {number}", each, self.target, TOP).json() for number, each in rows]
        return {"predictions": predictions, "output": self.output, "notes": self.notes}

    def csv(self) -> str:
        """The answers as CSV, a line per row of the file, in its order."""
        return csv_bytes(self.header, self.rows).decode()


def predict_table(path: Path, session: Session, metadata: dict[str, Any]) -> TablePrediction:
    """Answers for every row of a CSV or Parquet file.

    Args:
        session: of ONNX Runtime, on an exported table model.
        metadata: the file's: `preprocessing` and `target`.

    Raises:
        UserError: a file that is neither, a column that is missing, or cells that are no numbers: the first of them.
    """
    preprocessing, target = metadata["preprocessing"], metadata["target"]
    found, notes = _read(path, preprocessing)
    rows, more = encode(found, preprocessing, str(path))
    notes += more
    session.require_inputs({"rows": ("float", 2)})
    parts = [session.answers(rows[at : at + _BATCH], target) for at in range(0, len(rows), _BATCH)]
    answers = np.concatenate(parts)
    return TablePrediction(target.columns, [target.cells(answer) for answer in answers], tuple(notes), answers, target)


def input_of(model: Path, preprocessing: dict[str, Any]) -> Callable[[Any], npt.NDArray[np.float32]]:
    """From a mapping of columns to values to what the model takes, float32 [columns]; more columns may be there.

    The function raises UserError for a column that is missing, or a cell that is no number.
    """
    wanted = _wanted_columns(preprocessing)

    def take(value: Any) -> npt.NDArray[np.float32]:
        row = dict(value)
        _chosen([*row], wanted, "the row")
        rows, _ = encode({name: [row[name]] for name in wanted}, preprocessing, "the row")
        return rows.reshape(-1)

    return take


def encode(columns: Cells, inputs: dict[str, Any], file: str) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Columns of cells as the rows that the model takes, float32 [n, columns], and notes.

    Args:
        inputs: the model's `preprocessing`: its columns, missing marks and decimal mark.

    Raises:
        UserError: for a cell that is no number or date, or a number that can be read in two ways.
    """
    notes = []
    missing, decimal = {*inputs["missing"], "", None}, inputs["decimal"]
    rows = np.empty((len(next(iter(columns.values()))), len(inputs["columns"])), dtype=np.float32)
    for at, column in enumerate(inputs["columns"]):
        name = column.get("source") or column["name"]
        found = columns[name]
        if column["kind"] == "category":
            codes = {value: code for code, value in enumerate(column["values"], start=1)}
            joined = cells.are_values(codes)
            known = {cell: _code(cell, codes, decimal, joined) for cell in set(found)}
            rows[:, at] = [known[cell] for cell in found]
            unknown = sorted({str(cell) for cell in known if not known[cell] and cell not in missing})
            if unknown:
                notes.append(f"{name}: {', '.join(map(repr, unknown[:5]))} unknown to the model")
            continue
        values = {cell: math.nan if cell in missing else _value(cell, column, decimal) for cell in set(found)}
        wrong = next((row for row, cell in enumerate(found, start=1) if values[cell] is None), None)
        if wrong is not None:
            raise UserError(
                f"{file}, row {wrong}: {str(found[wrong - 1])[:40]!r} in column {name} is no {_wanted(column)}",
                "fix it, or leave the cell empty",
            )
        _require_clear(set(found), column, decimal, file)
        rows[:, at] = [values[cell] for cell in found]
    return rows, notes


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
    return value if value is not None and not abs(value) > float(np.finfo(np.float32).max) else None


def _require_clear(found: set[Any], column: dict[str, Any], decimal: cells.Decimal, file: str) -> None:
    """Refuse `5.000` where the model knows decimal commas and no thousands marks: it is 5 as often as 5000."""
    other = "." if decimal == "," else ","
    doubtful = [cell for cell in found if isinstance(cell, str) and other in cell and cells.is_ambiguous(cell)]
    if doubtful and not column.get("grouped") and not column.get("part"):
        whole, part = doubtful[0].replace(other, ""), doubtful[0].replace(other, decimal)
        raise UserError(
            f"{file}: {doubtful[0]!r} in column {column['name']} may be {whole} or {part}: the model knows the "
            f"decimal mark {decimal!r} and no thousands marks",
            f"write {whole} or {part}",
        )


def _read(path: Path, inputs: dict[str, Any]) -> tuple[Cells, list[str]]:
    """The columns that the model needs, as they stand in the file, and notes.

    Raises:
        UserError: if it is no table, or lacks one of them (all are named).
    """
    wanted = _wanted_columns(inputs)
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PAR1":
            return _read_parquet(path, wanted)
        encoding = inputs.get("encoding")
        if encoding and not _needs_encoding(path.read_bytes()):
            encoding = None
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", "name a CSV or Parquet file") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", "name a CSV or Parquet file") from None
    table = CsvFile(
        path,
        str(path),
        wanted=wanted,
        separator=inputs.get("separator"),
        quotes=inputs.get("quotes", True),
        encoding=encoding,
    )
    notes = _chosen(table.header, wanted, str(path))
    records = []
    for line, row in table.rows():
        if isinstance(row, str):
            raise UserError(f"{path}, line {line}: {row}", "fix the row")
        records.append(row)
    if not records:
        raise UserError(f"{path} has no row below a first line of names", "add rows to predict")
    notes += filter(None, [table.guessed()])
    places = [(name, table.header.index(name)) for name in wanted]
    return {name: [record[place].strip() for record in records] for name, place in places}, notes


def _wanted_columns(inputs: dict[str, Any]) -> list[str]:
    """Names of the columns of a file that the model needs."""
    return list(dict.fromkeys(column.get("source") or column["name"] for column in inputs["columns"]))


def _needs_encoding(data: bytes) -> bool:
    """Whether a file is no UTF-8, so that the training file's encoding counts."""
    try:
        return "\0" in data.decode()
    except UnicodeDecodeError:
        return True


def _read_parquet(path: Path, wanted: list[str]) -> tuple[Cells, list[str]]:
    from samebits.data.readers.table.parquet_file import plain_cells, read_parquet

    notes: list[str] = []

    def choose(names: list[str], index: list[str]) -> list[str]:
        notes.extend(_chosen([each for each in names if each in wanted or each not in index], wanted, str(path)))
        return wanted

    table = read_parquet(path, str(path), choose)
    return {name: plain_cells(table[name]) for name in wanted}, notes


def _chosen(names: list[str], wanted: list[str], file: str) -> list[str]:
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
    extra = [name for name in names if name not in wanted]
    return [f"columns that the model does not use: {', '.join(extra)}"] if extra else []
