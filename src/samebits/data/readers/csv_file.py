"""The one CSV reader, for tables, texts, lists of images and `samebits predict`: RFC 4180 and what spreadsheets add.

Encodings are those of `text.decoding`; the separator is found, or named by Excel's first line `sep=;`. A
quote opened by mistake hides no row: its line is reported as broken, and the lines after it are read on their own.
Needs nothing but the standard library.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from samebits.base.errors import UserError
from samebits.data.readers import cells
from samebits.data.readers.csv_header import require_names, require_unique
from samebits.data.readers.decoding import LONGEST, NotText, read_lines

if TYPE_CHECKING:
    from samebits.data.readers.reader import Source

SEPARATORS = (",", ";", "\t", "|")

_HEAD_LINES = 100
_MOST_LINES = 10_000
"""Lines of one quoted field, beyond which its quote counts as a stray one."""

_ROWS_SEEN = 2000
_MOSTLY = 0.9
_STRAY = "a quote is opened here and not closed in its row (double it, or set data.csv.quotes: false)"
_EXCEL = re.compile(r'"?sep=(.)"?\s*')
_FOREIGN = {
    b"PK\x03\x04": ("a ZIP archive or an Excel workbook", "save the sheet as CSV (UTF-8)"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save the sheet as CSV (UTF-8)"),
    b"\x1f\x8b": ("compressed by gzip", "unpack it: gunzip FILE"),
    b"SQLite format 3": ("an SQLite data base", "export the table as CSV"),
    b"\x89HDF": ("an HDF5 file", "export the table as CSV or Parquet"),
    b"\x89PNG": ("an image", "name the CSV itself"),
    b"%PDF": ("a PDF", "name the table itself"),
    b"PAR1": ("a Parquet file", "name a CSV file, or set data.format: table"),
}

_RETURN = re.compile(r"(?<=\r)(?!\n|$)")

_Line = tuple[int, str | NotText]
Row = tuple[int, list[str] | str]
"""Line in which a row begins, counted from 1, and its fields; or, of one that cannot be used, the reason."""


class CsvFile:
    """A CSV file that is open for reading, its header read.

    Attributes:
        header: names of the columns, stripped.
        separator: between fields.
        encodings: lines of each encoding; complete once all rows are read.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        *,
        wanted: Collection[str] = (),
        every: bool = False,
        separator: str | None = None,
        quotes: bool = True,
        columns: Sequence[str] = (),
        encoding: str | None = None,
    ) -> None:
        """Read the header.

        Args:
            name: of the file, for messages.
            wanted: names that the header should have; they help to find the separator.
            every: whether all columns are used, so that each needs a name of its own.
            separator: None finds it.
            quotes: whether quotes enclose fields; else they are text like any other.
            columns: the names, where the file has no header.
            encoding: None finds it.

        Raises:
            UserError: no text, no CSV, a line of values for a header, or a column that stands twice.
        """
        self.name, self.encodings = name, Counter[str]()
        self._quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
        _require_csv(path, name)
        csv.field_size_limit(max(LONGEST, csv.field_size_limit()))
        self._lines = _Lines(_split_at_returns(read_lines(path, name, encoding, self.encodings)))
        head = self._head()
        if excel := _EXCEL.fullmatch(head[0]):
            self._lines.begin()
            next(self._lines)
            separator, head = separator or excel[1], self._head()
        tried = [separator] if separator else list(SEPARATORS)
        samples = {mark: self._sample(head, mark) for mark in tried}
        self.separator = max(tried, key=lambda mark: _fit(samples[mark], wanted))
        sample = samples[self.separator]
        first = [cell.strip() for cell in sample[0]]
        self.header = list(columns) or (first[:-1] if len(first) > 1 and not first[-1] else first)
        self._seen = [Counter[str]() for _ in self.header]
        if columns:
            if len(first) != len(columns):
                raise UserError(
                    f"{name}: data.csv.columns has {len(columns)} names, the first line {len(first)} fields", "name all"
                )
        elif every:
            require_names(sample, self.header, wanted, name)
        require_unique(self.header, self.header if every else wanted, name)
        if every and len(self.header) < 2:
            raise self._one_column(head, separator)
        if not columns:
            next(self._records())

    def rows(self) -> Iterator[Row]:
        """The rows below the header, in the file's order; blank lines are passed over."""
        width = len(self.header)
        for number, record in self._records():
            if isinstance(record, str) or len(record) == width:
                yield number, record
            elif len(record) == width + 1 and not record[-1].strip():  # a separator at the end of each row
                yield number, record[:-1]
            else:
                yield number, f"{len(record)} fields, the header has {width}"

    def guessed(self) -> str:
        """What to say of lines that are no UTF-8, once all rows are read; "" without any."""
        odd = {name: n for name, n in sorted(self.encodings.items()) if not name.startswith("utf-8")}
        lines = ", ".join(f"{n:,} lines as {name}" for name, n in odd.items())
        return f"read as other than UTF-8: {lines} (data.encoding, if that is wrong)" if odd else ""

    def _records(self) -> Iterator[Row]:
        lines, read = self._lines, 0
        reader = csv.reader(lines, delimiter=self.separator, quoting=self._quoting, strict=True)
        while True:
            lines.begin()
            record, reason, closed = None, _STRAY, True
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                closed = not ("unexpected end" in str(error) or "field larger" in str(error))
                if closed:
                    reason = f"no valid CSV: {error} (quotes that are text: data.csv.quotes: false)"
            first, several = lines.taken[0][0], len(lines.taken) > 1
            bad = next((str(line) for _, line in lines.taken if isinstance(line, NotText)), None)
            if several and (not closed or self._hides_rows(record is not None)):
                lines.give_back()
                yield first, _STRAY
            elif bad is not None or record is None:
                # Each line that goes with it may have been a row: it counts as one.
                yield first, bad or reason
                yield from ((number, f"in the quotes of line {first}") for number, _ in lines.taken[1:])
            elif len(record) > 1 or (record and (record[0].strip() or len(self.header) == 1)):
                if read < _ROWS_SEEN and not several and len(record) == len(self.header):
                    for seen, cell in zip(self._seen, record, strict=True):
                        seen[cell.strip(' "')] += 1
                    read += 1
                yield first, record

    def _hides_rows(self, whole: bool) -> bool:
        """Whether the lines of one record are rows of their own, which a stray quote holds together: each has as many
        fields as the header, and one that is typical of its column. Commas alone stand in prose, too."""
        lines = [str(line).strip("\r\n") for _, line in self._lines.taken][: None if whole else -1]
        rows = [[cell.strip(' "') for cell in line.split(self.separator)] for line in lines]
        rows = [row for row in rows if len(row) == len(self.header)]
        fewest = min(_MOSTLY * len(lines), max(3, len(lines) - 1))
        if len(rows) < fewest:
            return False
        columns = list(zip(*rows, strict=True))
        typical = [_typical(seen + Counter(column)) for seen, column in zip(self._seen, columns, strict=True)]
        return sum(any(cell in of for cell, of in zip(row, typical, strict=True)) for row in rows) >= fewest

    def _head(self) -> list[str]:
        """The first lines, from the first one that is not blank; they stay to be read."""
        while head := self._lines.head():
            number, line = head[0]
            if isinstance(line, NotText):
                raise UserError(f"{self.name}, line {number}: {line}", "name a CSV file; or set data.encoding")
            if line.strip(" \t\r\n,;|"):
                return [text for _, text in head if isinstance(text, str)]
            self._lines.begin()
            next(self._lines)
        raise UserError(f"{self.name} is empty", "name a file with a line of names and rows below it")

    def _sample(self, head: list[str], separator: str) -> list[list[str]]:
        """The records of some lines, at least one; strays among their quotes do not matter here."""
        return list(filter(None, csv.reader(head, delimiter=separator, quoting=self._quoting))) or [[""]]

    def _one_column(self, head: list[str], separator: str | None) -> UserError:
        if separator is None:
            return UserError(
                f"{self.name}: no separator is found, its first line is {head[0].strip()[:60]!r}",
                "set data.csv.separator; a table has a first line of names and at least two columns",
            )
        better = next((each for each in SEPARATORS if len(self._sample(head, each)[0]) > 1), None)
        return UserError(
            f"{self.name} has one column with data.csv.separator {separator!r}",
            f"it looks like {better!r}: set data.csv.separator to it, or to null" if better else "look at it",
        )


def open_csv(source: Source, wanted: Collection[str], *, every: bool = False) -> CsvFile:
    """The file of a source by the settings `data.csv` and `data.encoding`; arguments and errors as of `CsvFile`."""
    settings = source.settings
    written = settings.csv.model_dump() | {"encoding": settings.encoding}
    return CsvFile(source.own, source.own_name, wanted=wanted, every=every, **written)


class _Lines:
    """Physical lines with their numbers, for `csv`; those of the record that is being read can be given back.

    Attributes:
        taken: the lines of the record; of one that is no text, the reason. `csv` gets an empty line for it.
    """

    def __init__(self, lines: Iterator[_Line]) -> None:
        self.taken: list[_Line] = []
        self._size = 0
        self._source = lines
        self._waiting: deque[_Line] = deque()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.taken) == _MOST_LINES or self._size > LONGEST:
            raise StopIteration
        numbered = self._waiting.popleft() if self._waiting else next(self._source)
        self.taken.append(numbered)
        if isinstance(numbered[1], NotText):
            return "\n"
        self._size += len(numbered[1])
        return numbered[1]

    def begin(self) -> None:
        """A new record begins."""
        self.taken, self._size = [], 0

    def give_back(self) -> None:
        """Take back all lines of the record but its first."""
        self._waiting.extendleft(reversed(self.taken[1:]))

    def head(self) -> list[_Line]:
        """The next lines, which stay to be read."""
        more = islice(self._source, max(0, _HEAD_LINES - len(self._waiting)))
        size = sum(len(str(line)) for _, line in self._waiting)
        while size < LONGEST and (line := next(more, None)) is not None:
            self._waiting.append(line)
            size += len(str(line[1]))
        return list(self._waiting)


def _typical(values: Counter[str]) -> set[str]:
    """Values of a column by which a row can be known: those that come again, in a column of few values; numbers, in a
    column of numbers."""
    del values[""]
    if 3 * len(values) <= values.total():
        return {value for value, n in values.items() if n > 1}
    numbers = {value for value in values if cells.number(value) is not None or cells.number(value, ",") is not None}
    return numbers if len(numbers) >= _MOSTLY * len(values) else set()


def _split_at_returns(lines: Iterator[_Line]) -> Iterator[_Line]:
    """Lines that end in a carriage return alone, as old spreadsheets write them, are lines, too."""
    added = 0
    for number, line in lines:
        if isinstance(line, NotText) or line.find("\r", 0, -2) < 0:
            yield number + added, line
            continue
        for part in _RETURN.split(line):
            yield number + added, part
            added += 1
        added -= 1


def _require_csv(path: Path, name: str) -> None:
    with path.open("rb") as file:
        start = file.read(16)
    for magic, (what, fix) in _FOREIGN.items():
        if start.startswith(magic):
            raise UserError(f"{name} is no CSV: it is {what}", fix)
    if start.lstrip()[:1] in {b"{", b"["}:
        raise UserError(f"{name} is no CSV: it begins like JSON", "convert it to CSV or Parquet")
    if start.lstrip()[:5].lower() in {b"<html", b"<!doc"}:
        raise UserError(f"{name} is no CSV: it is a web page", "download the file itself")


def _fit(sample: list[list[str]], wanted: Collection[str]) -> tuple[int, float]:
    """How well a separator fits: how many of the wanted names it gives; then how many columns, as many in each row."""
    width = len(sample[0])
    agree = sum(len(record) == width for record in sample) / len(sample)
    return len({cell.strip() for cell in sample[0]} & set(wanted)), (width > 1) * agree * width
