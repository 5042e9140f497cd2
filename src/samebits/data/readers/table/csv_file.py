"""CSV files as columns of text: encoding, separator and broken lines are found out before a value is looked at."""

from __future__ import annotations

import codecs
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from samebits.base.errors import UserError
from samebits.params.table import TableParams

SEPARATORS = (",", ";", "\t", "|")
_HEAD = 1 << 20
_BLOCK = 1 << 24
"""Bytes read at a time, and so the longest line."""
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
          (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_FOREIGN = {
    b"PK\x03\x04": ("a ZIP archive or an Excel workbook", "save the sheet as CSV (UTF-8)"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save the sheet as CSV (UTF-8)"),
    b"\x1f\x8b": ("compressed by gzip", "unpack it: gunzip FILE"),
    b"SQLite format 3": ("an SQLite data base", "export the table as CSV"),
    b"\x89HDF": ("an HDF5 file", "export the table as CSV or Parquet"),
    b"%PDF": ("a PDF", "name the table itself"),
}


@dataclass(frozen=True)
class Cells:
    """A table of text.

    Attributes:
        columns: by name, in the file's order; arrow arrays of strings, stripped.
        rows: number in the file of each row kept, counted from 1 after the header.
        broken: number of each row left out, and why.
    """

    columns: dict[str, Any]
    rows: list[int]
    broken: list[tuple[int, str]]


def read_csv(path: Path, name: str, settings: TableParams) -> Cells:
    """Read a CSV file.

    Args:
        name: of the file, for messages.

    Raises:
        UserError: no text, no table, a wrong separator or encoding, names that stand twice, or nothing below them.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    _require_text(head, name)
    encoding = _encoding(path, head, name, settings.encoding)
    text = codecs.getincrementaldecoder(encoding)(errors="strict").decode(head)
    separator = _separator(text, name, settings.separator)
    columns = header(text, separator, name)
    return _read(path, name, columns, separator, encoding)


def header(text: str, separator: str, name: str) -> list[str]:
    """Column names, stripped.

    Raises:
        UserError: if one is empty or stands twice, or they look like values.
    """
    if not text.splitlines()[0].strip():
        raise UserError(f"{name}: its first line is empty", "the first line holds the names of the columns")
    columns = [each.strip() for each in _records(text, separator, 1)[0]]
    empty = [str(at) for at, each in enumerate(columns, start=1) if not each]
    if empty:
        raise UserError(
            f"{name}: column {', '.join(empty)} of {len(columns)} has no name",
            "name it in the first line (an index that pandas wrote: save with index=False)",
        )
    twice = sorted({each for each in columns if columns.count(each) > 1})
    if twice:
        raise UserError(f"{name}: two columns are called {', '.join(twice)}", "give every column a name of its own")
    return columns


def _require_text(head: bytes, name: str) -> None:
    if not head.strip():
        raise UserError(f"{name} is empty", "look at data.source")
    for magic, (what, cure) in _FOREIGN.items():
        if head.startswith(magic):
            raise UserError(f"{name} is no CSV: it is {what}", cure)
    if b"\0" in head and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE)):
        raise UserError(
            f"{name} is no text: byte {head.index(0):,} is NUL",
            "name a CSV or Parquet file; if it is text in UTF-16, set data.table.encoding: utf-16",
        )
    if head.lstrip()[:1] in {b"{", b"["}:
        raise UserError(f"{name} is no CSV: it begins like JSON", "convert it to CSV or Parquet")
    if head.lstrip()[:5].lower() in {b"<html", b"<!doc"}:
        raise UserError(f"{name} is no CSV: it is a web page", "download the file itself")


def _encoding(path: Path, head: bytes, name: str, wanted: str) -> str:
    """The encoding, after every byte was decoded by it.

    Raises:
        UserError: naming the first line that does not decode, and whether the file mixes two encodings.
    """
    encoding = next((found for mark, found in _MARKS if head.startswith(mark)), wanted)
    try:
        decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    except LookupError:
        raise UserError(f"data.table.encoding {encoding!r} is no encoding", "one of utf-8, latin-1, cp1252 …") from None
    with path.open("rb") as file:
        try:
            while block := file.read(_BLOCK):
                if len(block) == _BLOCK and b"\n" not in block and b"\r" not in block:
                    raise UserError(
                        f"{name} has a line of more than {_BLOCK >> 20} MiB near byte {file.tell() - _BLOCK:,}",
                        "a table has a row a line: look at the file",
                    )
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeError:
            raise _undecodable(path, name, encoding) from None
    return encoding


def _undecodable(path: Path, name: str, encoding: str) -> UserError:
    """Which lines are wrong, and whether others show that the encoding is right for them."""
    bad, good, first = 0, 0, ""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                good += not line.decode(encoding).isascii()
            except UnicodeError:
                bad += 1
                first = first or f"line {number}: {line[:60].decode('ascii', 'replace').strip()!r}"
    if good and encoding.startswith("utf-8"):
        return UserError(
            f"{name} mixes encodings: {good:,} lines are {encoding}, {bad:,} are not, first {first}",
            "convert those lines, so that the whole file is UTF-8",
        )
    return UserError(
        f"{name} is not {encoding}: {bad:,} lines, first {first}",
        "set data.table.encoding to what it is (often cp1252 or latin-1), or convert it to UTF-8",
    )


def _separator(text: str, name: str, wanted: str) -> str:
    """The separator asked for, or the one that cuts the first lines into the most columns, as many in each."""
    if wanted != "auto":
        if len(_records(text, wanted, 1)[0]) < 2:
            better = next((each for each in SEPARATORS if len(_records(text, each, 1)[0]) > 1), None)
            raise UserError(
                f"{name} has one column with data.table.separator {wanted!r}",
                f"it looks like {better!r}: set data.table.separator to it, or to auto" if better else "look at it",
            )
        return wanted
    widths = {}
    for each in SEPARATORS:
        lengths = [len(record) for record in _records(text, each, 50)]
        agree = sum(length == lengths[0] for length in lengths) / len(lengths)
        widths[each] = (lengths[0] > 1) * agree * lengths[0]
    best = max(SEPARATORS, key=lambda each: widths[each])
    if not widths[best]:
        first = text.splitlines()[0][:60]
        raise UserError(
            f"{name}: no separator is found, its first line is {first!r}",
            "set data.table.separator; a table has a first line of names and at least two columns",
        )
    return best


def _records(text: str, separator: str, count: int) -> list[list[str]]:
    """The first records that are not empty; at least one."""
    found: list[list[str]] = []
    try:
        for record in csv.reader(text.splitlines(keepends=True), delimiter=separator):
            if record:
                found.append(record)
            if len(found) == count:
                break
    except csv.Error:
        # A field longer than csv's limit: an open quote, which the reader names.
        pass
    return found or [[""]]


def _read(path: Path, name: str, columns: list[str], separator: str, encoding: str) -> Cells:
    broken: list[tuple[int, str]] = []
    last = [""]

    def invalid(row: Any) -> str:
        last[0] = row.text
        # Single-threaded reading numbers physical lines: the header is 1.
        broken.append((int(row.number) - 1, f"{row.actual_columns} columns, the header has {len(columns)}"))
        return "skip"

    try:
        table = pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(
                use_threads=False, block_size=_BLOCK, encoding=encoding, column_names=columns, skip_rows_after_names=1
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=separator, newlines_in_values=True, ignore_empty_lines=True, invalid_row_handler=invalid
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                strings_can_be_null=False,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{name} is no CSV that can be read: {reason}", "mend the file") from None
    if not table.num_rows and not broken:
        raise UserError(f"{name} has a first line of names and no row below it", "look at data.source")
    _require_closed_quotes(path, name, table, last[0])
    gone = {number for number, _ in broken}
    total = table.num_rows + len(broken)
    rows = [number for number in range(1, total + 1) if number not in gone]
    stripped = {each: pc.utf8_trim_whitespace(table[each]) for each in columns}
    return Cells(stripped, rows, broken)


def _require_closed_quotes(path: Path, name: str, table: Any, broken: str) -> None:
    """A quote that is never closed makes one cell of the rest of the file, in the last row or the last broken one."""
    last = [value for row in table.slice(max(0, table.num_rows - 1)).to_pylist() for value in row.values()]
    swallowed = next((value for value in [*last, broken] if "\n" in value.strip()), None)
    if swallowed is None:
        return
    with path.open("rb") as file:
        quotes = sum(block.count(b'"') for block in iter(lambda: file.read(_BLOCK), b""))
    if quotes % 2:
        raise UserError(
            f"{name}: a quote is opened and never closed near the end, at {swallowed[:40]!r}",
            "close it, or double it if it belongs to the text",
        )
