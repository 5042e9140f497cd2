"""A CSV with the columns `path` and `label`, and if one likes `split` (train, validation, test), `group` and `time`;
UTF-8, commas.

    path,label,split
    photos/1.jpg,cat,train

Paths are relative to the CSV file's folder and stay below it, so that DVC sees the images change. With
`data.split: group`, images of one group (a patient, a place, a film) are in one split; with `data.split: time`, the
latest are the test.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from samebits.base.errors import UserError
from samebits.data.fetching.archives import Member
from samebits.data.readers.image.folder import Labelled, gather
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.labels import class_name
from samebits.data.readers.reader import SetAside, Source, require_kept
from samebits.data.readers.splits import KNOWN, split_of
from samebits.data.readers.times import no_time

_NEEDED = ("path", "label")
_LONGEST = 1 << 16
_SPLIT_CURES = {
    "group": "add a column `group` to the CSV: images of one group stay together",
    "time": "add a column `time` to the CSV: dates such as 2025-12-31, or numbers",
}
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read(source: Source) -> RawImages:
    """Read the images that the CSV `data.source` lists.

    Raises:
        UserError: if the file is no such CSV: each message names the line.
    """
    path = source.own
    if path.is_dir():
        raise UserError(
            f"data.source {source.settings.source} is a folder",
            "name the CSV file in it, or set data.format: image_folder",
        )
    labelled: list[Labelled] = []
    aside: list[SetAside] = []
    grouped, timed = source.settings.split == "group", source.settings.split == "time"
    for number, row in _rows(path):
        name, label, split = row["path"].strip(), class_name(row["label"]), (row.get("split") or "").strip()
        group = class_name(row.get("group", ""))
        file = f"{path.name}#{number} {name}".rstrip()
        if split and split_of(split) is None:
            raise UserError(f"{path.name}, line {number}: split is {split!r}", f"it is {KNOWN}; or empty")
        try:
            member = _member(path.parent, name, source.watch)
        except (OSError, ValueError) as error:
            aside.append(SetAside(file, str(error), label))
            continue
        if not label:
            aside.append(SetAside(file, "it has no label"))
            continue
        if grouped and "group" in row and not group:
            aside.append(SetAside(file, "it has no group, data.split is group", label))
            continue
        time = row.get("time") if timed else None
        if time is not None and (reason := no_time(time)):
            aside.append(SetAside(file, reason, label))
            continue
        labelled.append(Labelled(member, label, split_of(split), group or None, time))
    if not labelled:
        first = f"; the first: {aside[0].id}: {aside[0].reason}" if aside else ""
        raise UserError(f"{source.settings.source} lists no usable image{first}", "look at its `path` and `label`")
    require_kept(source.settings.source, (), {each.label for each in labelled}, aside)
    return gather(source, labelled, aside, _SPLIT_CURES)


def _member(folder: Path, name: str, watch: Callable[[Path], None]) -> Member:
    """The file of a row.

    Raises:
        ValueError: with the reason why it cannot be used.
    """
    if not name:
        raise ValueError("it has no path")
    if "\0" in name:
        raise ValueError("its path holds a NUL")
    path = folder / os.fsdecode(name.encode())  # as UTF-8 in any locale
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError("its path leaves the folder of the CSV")
    if not path.is_file():
        raise ValueError("it is a folder" if path.is_dir() else "it does not exist")
    watch(path)
    return Member(name, path, 0, path.stat().st_size)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column, of every row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_lines(file, path.name), strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            _check_header(path.name, header)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    raise UserError(
                        f"{path.name}, line {reader.line_num}: {len(cells)} cells, the header has {len(header)}",
                        'put a value that holds a comma into "quotes"',
                    )
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path.name} is not UTF-8 ({error.reason})", f"convert it: iconv -f latin1 -t utf-8 {path.name}"
        ) from None
    except csv.Error as error:
        raise UserError(f"{path.name} is no valid CSV: {error}", "look for a quote that is not closed") from None


def _lines(file: TextIO, name: str) -> Iterator[str]:
    # A file without line ends must not be read into memory whole.
    number = 0
    while line := file.readline(_LONGEST):
        number += 1
        if len(line) == _LONGEST and not line.endswith("\n"):
            raise UserError(f"{name}, line {number} is longer than {_LONGEST:,} characters", "is it a CSV of paths?")
        yield line


def _check_header(name: str, header: list[str]) -> None:
    if not any(header):
        raise UserError(f"{name} is empty", "its first line names the columns: path,label")
    if len(header) == 1:
        for sign, called in _SEPARATORS.items():
            if sign in header[0]:
                raise UserError(f"{name}: its columns are separated by {called}", "save it with commas")
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise UserError(f"{name}: the column {', '.join(twice)} stands twice", "remove one")
    missing = [column for column in _NEEDED if column not in header]
    if missing:
        raise UserError(
            f"{name} has no column {', '.join(missing)}; it has {', '.join(header)}", "its first line: path,label"
        )
