"""Labelled texts in a CSV or TSV file with a header: a column of texts, a column of labels.

data: {source: data/raw/reviews.csv, format: text_csv, text: {text: review, label: stars}}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from samebits.base.errors import UserError
from samebits.base.registry import nearest
from samebits.data.readers.csv_file import CsvFile, open_csv
from samebits.data.readers.reader import Rejected, Source
from samebits.data.readers.text.labelled import Item, RawTexts, collect
from samebits.params.data import DataParams

_SPLIT_FIXES = {
    "group": "name the column whose equal values stay together: data.group_column",
    "time": "name the column with the date of a text: data.time_column",
}


def read(source: Source) -> RawTexts:
    """Every row of the file. Rows that cannot be used are set aside by their line.

    Raises:
        UserError: a file that is no CSV with these columns.
    """
    path = source.own
    if path.is_dir():
        raise UserError(f"{source.name} is a folder, data.format text_csv reads one file", "name the file in it")
    wanted = _wanted(source.settings)
    file = open_csv(source, set(wanted.values()))
    items = _items(file, source.name, _places(file.header, wanted, source.name))
    column = source.settings.text.text
    return collect(
        source, items, file.encodings, split_fixes=_SPLIT_FIXES, fix="look at data.text.label", column=column
    )


def _items(file: CsvFile, name: str, places: Mapping[str, int]) -> Iterator[Item | Rejected]:
    for line, row in file.rows():
        if isinstance(row, str):
            yield Rejected(f"line {line}", row)
            continue
        cells = {key: row[at] for key, at in places.items()}
        yield Item(
            id=f"line {line}",
            origin=f"{name}:{line}",
            text=cells["data.text.text"],
            label=cells["data.text.label"].strip(),
            given=cells.get("data.split_column"),
            group=cells.get("data.group_column"),
            time=cells.get("data.time_column"),
        )


def _wanted(settings: DataParams) -> dict[str, str]:
    """Of each setting that names a column, the column."""
    text, label = settings.text.text, settings.text.label
    if text == label:
        raise UserError(f"data.text.text and data.text.label are both {text!r}", "name two columns")
    named = {f"data.{key}": getattr(settings, key) for key in ("split_column", "group_column", "time_column")}
    return {
        "data.text.text": text,
        "data.text.label": label,
        **{key: column for key, column in named.items() if column is not None},
    }


def _places(header: Sequence[str], wanted: Mapping[str, str], name: str) -> dict[str, int]:
    for key, column in wanted.items():
        if column not in header:
            near = nearest(column, list(header))
            shown = ", ".join(repr(cell[:40]) for cell in header[:12])
            raise UserError(
                f"{name} has no column {column!r}; its first line has: {shown}",
                f"set {key}"
                + (f" (is it {near!r}?)" if near else "")
                + (", or data.csv.separator if those are no columns" if len(header) < 2 else "")
                + "; a file without a line of names: data.csv.columns",
            )
    return {key: header.index(column) for key, column in wanted.items()}
