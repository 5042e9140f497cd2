"""Texts in the rows of a table: a CSV, JSON Lines or Parquet file, of which a text model reads one column."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.base.registry import nearest
from samebits.data.readers.csv_file import CsvFile
from samebits.data.readers.decoding import NotText, read_lines

DEFAULT_COLUMN = "text"
"""Of a model whose training data had no columns."""


def has_rows(path: Path) -> bool:
    """Whether a file holds a text per row, by its ending; else it is one text."""
    return path.suffix.lower() in _READERS


def read_rows(path: Path, column: str) -> Iterator[tuple[str, str]]:
    """Name and text of each row, in the file's order.

    Args:
        column: the column, or the key of JSON Lines.

    Raises:
        UserError: a file that cannot be read or lacks the column, or a row without a text.
    """
    try:
        yield from _READERS[path.suffix.lower()](path, column)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", "look at the path") from None


def _csv(path: Path, column: str) -> Iterator[tuple[str, str]]:
    file = CsvFile(path, str(path), wanted={column})
    place = _place(file.header, column, path)
    for line, row in file.rows():
        if isinstance(row, str):
            raise UserError(f"{path}, line {line}: {row}", "fix the row")
        yield f"{path}:{line}", row[place]


def _json_lines(path: Path, key: str) -> Iterator[tuple[str, str]]:
    for number, line in read_lines(path, str(path), None, Counter()):
        place = f"{path}, line {number}"
        if isinstance(line, NotText):
            raise UserError(f"{place}: {line}", "fix or remove the line")
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place}: no valid JSON: {error}", "write one JSON object per line") from None
        if not isinstance(value, dict):
            raise UserError(f"{place} is not a JSON object", "write one JSON object per line")
        _place(list(value), key, path, place)
        yield f"{path}:{number}", _text(value[key], key, place)


def _parquet(path: Path, column: str) -> Iterator[tuple[str, str]]:
    from samebits.data.readers.table.parquet_file import plain_cells, read_parquet

    def choose(names: list[str], _: list[str]) -> list[str]:
        _place(names, column, path)
        return [column]

    table = read_parquet(path, str(path), choose)
    for number, cell in enumerate(plain_cells(table[column]), start=1):
        yield f"{path}, row {number}", _text(cell, column, f"{path}, row {number}")


def _place(names: list[str], column: str, path: Path, place: str = "") -> int:
    if column in names:
        return names.index(column)
    near = nearest(column, names)
    raise UserError(
        f"{place or path} has no {column!r}, where the model's texts were; it has {listed(names) or 'nothing'}",
        f"call {repr(near) if near else 'the texts'} {column!r}, or give a text per line with --lines",
    )


def _text(value: Any, column: str, place: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"{place}: {column!r} is {'empty' if value is None else 'no text'}", "fix or remove the row")
    return value


_READERS = {".csv": _csv, ".tsv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".parquet": _parquet}
