"""Predict the rows of a CSV with an exported model, by ONNX Runtime alone: no torch, no project, just the .onnx file.

Columns are found by their names, categories by their values, both from the file's own metadata. So the CSV may have its
columns in any order and more of them; missing cells are allowed wherever a table has them.
"""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.base.files import write_bytes
from samebits.base.registry import nearest
from samebits.data.readers.table import cells
from samebits.inference.session import Session

_BATCH = 4096
_SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class TablePrediction:
    """The answers for the rows of one file.

    Attributes:
        header: names of the columns that the answer adds.
        rows: of each row, the number, or the class and its probability.
        notes: what the user should know.
    """

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: tuple[str, ...]

    def csv(self) -> str:
        """The answers as CSV, a line a row of the file, in its order."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows(self.rows)
        return buffer.getvalue()


def predict_table(path: Path, session: Session, metadata: dict[str, Any]) -> TablePrediction:
    """Answers for every row of a CSV.

    Args:
        session: of ONNX Runtime, on an exported table model.
        metadata: the file's: `preprocessing`, `labels` and `dataset`.

    Raises:
        UserError: a file that is no CSV, a column that is missing, or cells that are no numbers: the first of them.
    """
    preprocessing, labels = metadata["preprocessing"], metadata["labels"]
    names, records = _read(path)
    rows, notes = encode(names, records, preprocessing, str(path))
    session.require_inputs({"rows": ("float", 2)})
    parts = [session.answers(rows[at : at + _BATCH], len(labels)) for at in range(0, len(rows), _BATCH)]
    answers = np.concatenate(parts)
    if not labels:
        return TablePrediction(("prediction",), [(f"{value:.7g}",) for value in answers.tolist()], tuple(notes))
    best = answers.argmax(axis=1)
    found: list[tuple[str, ...]] = [
        (str(labels[k]), f"{row[k]:.6f}") for k, row in zip(best.tolist(), answers, strict=True)
    ]
    return TablePrediction(("prediction", "probability"), found, tuple(notes))


def encode(
    names: Sequence[str], records: Sequence[Sequence[str]], inputs: dict[str, Any], file: str
) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Records of text as the rows that the model takes, float32 [n, columns], and notes.

    Args:
        inputs: the model's `preprocessing`: its columns, missing marks and decimal mark.

    Raises:
        UserError: for missing columns (all are named), or a cell that is no number or date.
    """
    columns = inputs["columns"]
    wanted = list(dict.fromkeys(column.get("source") or column["name"] for column in columns))
    absent = [name for name in wanted if name not in names]
    if absent:
        guesses = [f"{guess!r} may be {name!r}" for name in absent if (guess := nearest(name, list(names)))]
        raise UserError(
            f"{file} lacks {len(absent)} of the {len(wanted)} columns that the model needs: {', '.join(absent)}",
            "; ".join([*guesses[:3], "add them (leave cells empty where a value is not known)"]),
        )
    notes = []
    extra = [name for name in names if name not in wanted]
    if extra:
        notes.append(f"columns that the model does not use: {', '.join(extra)}")
    missing, decimal = set(inputs["missing"]), inputs["decimal"]
    rows = np.empty((len(records), len(columns)), dtype=np.float32)
    for at, column in enumerate(columns):
        place = names.index(column.get("source") or column["name"])
        cut = [record[place].strip() for record in records]
        if column["kind"] == "category":
            codes = {value: code for code, value in enumerate(column["values"], start=1)}
            rows[:, at] = [codes.get(cell, 0) for cell in cut]
            unknown = sorted({cell for cell in cut if cell not in codes and cell not in missing})
            if unknown:
                notes.append(f"{column['name']}: {', '.join(map(repr, unknown[:5]))} unknown to the model")
        else:
            values = {cell: math.nan if cell in missing else _value(cell, column, decimal) for cell in set(cut)}
            wrong = next((row for row, cell in enumerate(cut, start=1) if values[cell] is None), None)
            if wrong is not None:
                kind = "date" if column.get("part") else "finite number"
                raise UserError(
                    f"{file}, row {wrong}: {cut[wrong - 1][:40]!r} in column {names[place]} is no {kind}",
                    "mend it, or leave the cell empty",
                )
            rows[:, at] = [values[cell] for cell in cut]
    return rows, notes


def _value(cell: str, column: dict[str, Any], decimal: cells.Decimal) -> float | None:
    if column.get("part"):
        moment = cells.moment(cell, column.get("format"))
        return None if moment is None else cells.date_part(moment, column["part"])
    value = cells.number(cell, decimal)
    return value if value is not None and abs(value) <= float(np.finfo(np.float32).max) else None


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Names and records of a CSV in UTF-8.

    Raises:
        UserError: if it is none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", "name a CSV file") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", "name a CSV file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: byte {error.start}", "save it as CSV in UTF-8") from None
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(_SEPARATORS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))
    try:
        records = [record for record in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if record]
    except csv.Error as error:
        raise UserError(f"{path} is no CSV: {error}", "mend the file") from None
    if len(records) < 2:
        raise UserError(f"{path} has no row below a first line of names", "add rows to predict")
    names = [name.strip() for name in records[0]]
    for number, record in enumerate(records[1:], start=1):
        if len(record) != len(names):
            raise UserError(f"{path}, row {number}: {len(record)} cells, the header has {len(names)}", "mend the row")
    return names, records[1:]


def print_predictions(paths: Sequence[Path], session: Session, metadata: dict[str, Any], output: Path | None) -> None:
    """Answers as CSV to stdout or a file; notes to stderr.

    Raises:
        UserError: see `predict_table`; or if there is more than one file, or the output cannot be written.
    """
    if len(paths) != 1:
        raise UserError(f"{len(paths)} files were given, tables are predicted one at a time", "name one CSV")
    prediction = predict_table(paths[0], session, metadata)
    for note in prediction.notes:
        print(f"note: {note}", file=sys.stderr)
    if output is None:
        print(prediction.csv(), end="")
        return
    try:
        write_bytes(output, prediction.csv().encode())
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}", "name another file") from None
