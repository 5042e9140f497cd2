"""Labelled texts in a CSV or TSV file with a header (RFC 4180): a column of texts, a column of labels.

data: {source: data/raw/reviews.csv, format: text_csv, text: {text: review, label: stars}}
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from samebits.base.errors import UserError
from samebits.base.registry import nearest
from samebits.data.readers.reader import SetAside, Source
from samebits.data.readers.text.decoding import LONGEST, NotText, read_lines
from samebits.data.readers.text.labelled import Item, RawTexts, collect
from samebits.params.text import TextParams

SEPARATORS = (",", "\t", ";", "|")

_SPLIT_CURES = {
    "group": "name the column whose equal values stay together: data.text.group",
    "time": "name the column with the date of a text: data.text.time",
}


def read(source: Source) -> RawTexts:
    """Every row of the file. Rows that cannot be used are set aside by their line.

    Raises:
        UserError: a file that is no CSV with these columns.
    """
    path = source.own
    if path.is_dir():
        raise UserError(f"{source.name} is a folder, data.format text_csv reads one file", "name the file in it")
    encodings: Counter[str] = Counter()
    return collect(
        source, _items(source, encodings), encodings, split_cures=_SPLIT_CURES, cure="look at data.text.label"
    )


def _items(source: Source, encodings: Counter[str]) -> Iterator[Item | SetAside]:
    settings = source.settings.text
    lines = _Lines(source, encodings)
    header, separator = _header(lines, settings, source.name)
    columns = _columns(header, settings, source.name)
    with _long_fields():
        rows = csv.reader(lines, delimiter=separator, strict=True)
        while True:
            first = lines.number + 1
            lines.bad = None
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield SetAside(f"line {first}", _reason(error, first, lines.number))
                continue
            if lines.bad is not None:
                yield SetAside(f"line {first}", lines.bad)
            elif not row:
                continue
            elif len(row) != len(header):
                yield SetAside(f"line {first}", f"{len(row)} fields, the header has {len(header)}")
            else:
                cells = {key: row[at] for key, at in columns.items()}
                yield Item(
                    id=f"line {first}",
                    origin=f"{source.name}:{first}",
                    text=cells["text"],
                    label=cells["label"].strip(),
                    given=cells.get("given"),
                    group=cells.get("group"),
                    time=cells.get("time"),
                )


class _Lines:
    """Lines for `csv`, counted; what is no text is given as an empty line, with the reason in `bad`."""

    def __init__(self, source: Source, encodings: Counter[str]) -> None:
        self.number = 0
        self.bad: str | None = None
        self._lines = read_lines(source.own, source.name, source.settings.text.encoding, encodings)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        if isinstance(line, NotText):
            self.bad = str(line)
            return "\n"
        return line


def _header(lines: _Lines, settings: TextParams, name: str) -> tuple[list[str], str]:
    """Names of the columns, and what separates them."""
    line = next(lines, None)
    while line is not None and not line.strip() and lines.bad is None:
        line = next(lines, None)
    if line is None:
        raise UserError(f"{name} is empty", "look at data.source")
    if lines.bad is not None:
        raise UserError(f"{name}, line {lines.number}: {lines.bad}", "name a CSV file; or set data.text.encoding")
    tried = [settings.separator] if settings.separator else list(SEPARATORS)
    headers = {each: _cells(line, each) for each in tried}
    fitting = [each for each in tried if {settings.text, settings.label} <= set(headers[each])]
    best = fitting[0] if fitting else max(tried, key=lambda each: len(headers[each]))
    return headers[best], best


def _cells(line: str, separator: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line.strip("\r\n")], delimiter=separator), [])]
    except csv.Error:
        return [line.strip()]


def _columns(header: Sequence[str], settings: TextParams, name: str) -> dict[str, int]:
    """Where each wanted column stands."""
    wanted = {key: getattr(settings, key) for key in ("text", "label", "given", "group", "time")}
    if settings.text == settings.label:
        raise UserError(f"data.text.text and data.text.label are both {settings.text!r}", "name two columns")
    found: dict[str, int] = {}
    for key, column in wanted.items():
        if column is None:
            continue
        if column not in header:
            near = nearest(column, list(header))
            shown = ", ".join(repr(cell[:40]) for cell in header[:12])
            raise UserError(
                f"{name} has no column {column!r}; its first line has: {shown}",
                f"set data.text.{key}"
                + (f" (is it {near!r}?)" if near else "")
                + (", or data.text.separator if those are no columns" if len(header) < 2 else ""),
            )
        if header.count(column) > 1:
            raise UserError(f"{name} has {header.count(column)} columns {column!r}", "rename all but one")
        found[key] = header.index(column)
    return found


def _reason(error: csv.Error, first: int, last: int) -> str:
    if "field larger" in str(error) or last - first > 1000:
        return f"a quote is opened here and not closed up to line {last}"
    return f"no valid CSV: {error}"


@contextmanager
def _long_fields() -> Iterator[None]:
    """csv's limit is the module's own: put back when done."""
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)
