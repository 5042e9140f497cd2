"""The rows of a CSV, JSON Lines or Parquet file, one after the other: memory does not grow with the file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.data.readers.csv_file import CsvFile
from samebits.data.readers.decoding import NotText, read_lines

_AT_ONCE = 4096
"""Rows of a Parquet file."""

Row = dict[str, Any] | str
"""Cells by column: texts; of JSON Lines and Parquet also numbers, truth values, dates and None. Or why there are none.
"""
Choose = Callable[[Sequence[str], Sequence[str]], None]
"""Names of columns, and those among them that are pandas' index; raises UserError where one is missing."""


@dataclass
class RowFile:
    """A file of rows; its header is read where it has one.

    Attributes:
        name: of the file, for messages.
        wanted: the columns that are read.
        choose: looks at the columns that are there.
        csv: arguments of `CsvFile`.
        notes: what to say of the file, complete once all rows are read.

    Raises:
        UserError: for a file that cannot be read, or whatever `choose` raises.
    """

    path: Path
    name: str
    wanted: Sequence[str]
    choose: Choose
    csv: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        with self._readable():
            self._rows = _READERS[_kind(self.path)](self)

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        """Line of each row (of Parquet, its number from 1), and the row."""
        with self._readable():
            yield from self._rows

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.filename is None:
                raise
            raise UserError(f"{self.name} cannot be read: {error.strerror}", "look at the path") from None


def has_rows(path: Path) -> bool:
    """Whether a file holds a sample per row, by its ending."""
    return path.suffix.lower() in _ENDINGS


def _kind(path: Path) -> str:
    """By the ending; else by the first bytes: a table of any name is CSV, unless it is Parquet."""
    with path.open("rb") as file:
        return "parquet" if file.read(4) == b"PAR1" else _ENDINGS.get(path.suffix.lower(), "csv")


def _csv(given: RowFile) -> Iterator[tuple[int, Row]]:
    file = CsvFile(given.path, given.name, wanted=given.wanted, **given.csv)
    given.choose(file.header, [])
    places = [(name, file.header.index(name)) for name in given.wanted]

    def rows() -> Iterator[tuple[int, Row]]:
        for line, row in file.rows():
            yield line, row if isinstance(row, str) else {name: row[place] for name, place in places}
        given.notes += filter(None, [file.guessed()])

    return rows()


def _json_lines(given: RowFile) -> Iterator[tuple[int, Row]]:
    lines = read_lines(given.path, given.name, given.csv.get("encoding"), Counter())
    objects = ((number, _object(line)) for number, line in lines if isinstance(line, NotText) or line.strip())
    first = next(objects, None)
    if first is not None and isinstance(first[1], dict):
        # One that lacks a column is a broken row; where the first one does, it is the wrong file or name.
        given.choose(list(first[1]), [])

    def rows() -> Iterator[tuple[int, Row]]:
        if first is not None:
            yield first[0], _cells(first[1], given)
        for number, found in objects:
            yield number, _cells(found, given)

    return rows()


def _object(line: str | NotText) -> Row:
    if isinstance(line, NotText):
        return str(line)
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"no valid JSON: {error}"
    return found if isinstance(found, dict) else "it is not a JSON object"


def _cells(found: Row, given: RowFile) -> Row:
    if isinstance(found, str):
        return found
    try:
        cells = {name: found[name] for name in given.wanted}
    except KeyError:
        absent = [name for name in given.wanted if name not in found]
        return f"it has no {', '.join(map(repr, absent))}"
    nested = next((name for name, cell in cells.items() if isinstance(cell, list | dict)), None)
    return cells if nested is None else f"{nested!r} is a list or an object"


def _parquet(given: RowFile) -> Iterator[tuple[int, Row]]:
    from samebits.data.readers.table.parquet_file import plain_cells, stream_parquet

    def choose(names: list[str], index: list[str]) -> list[str]:
        given.choose([each for each in names if each in given.wanted or each not in index], index)
        return list(given.wanted)

    tables = stream_parquet(given.path, given.name, choose, _AT_ONCE)
    first = next(tables, None)

    def rows() -> Iterator[tuple[int, Row]]:
        number, table = 0, first
        while table is not None:
            columns = [plain_cells(table[name]) for name in given.wanted]
            for cells in zip(*columns, strict=True):
                number += 1
                yield number, dict(zip(given.wanted, cells, strict=True))
            try:
                table = next(tables, None)
            except UserError as error:  # the rest is damaged: what was read is answered
                yield number + 1, f"from here on: {error.problem}"
                return

    return rows()


_READERS = {"csv": _csv, "json": _json_lines, "parquet": _parquet}
_ENDINGS = {
    ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet",
}  # fmt: skip
