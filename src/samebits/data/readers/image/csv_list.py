"""A folder of images and one CSV file with the columns `path` and `label`, and if one likes `split` (train, validation,
test), `group` and `time`, which data.split_column, data.group_column and data.time_column may call otherwise.

    path,label,split
    photos/1.jpg,cat,train

Paths are relative to the folder and stay below it: the stage depends on the folder, so DVC sees the images change. With
`data.split: group`, images of one group (a patient, a place, a film) are in one split; with `data.split: time`, the
latest are the test.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from samebits.base.errors import UserError, listed
from samebits.data.fetching.archives import Member
from samebits.data.fetching.leftovers import is_leftover
from samebits.data.readers.csv_file import open_csv
from samebits.data.readers.image.folder import Labelled, gather
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.labels import class_name
from samebits.data.readers.reader import Rejected, Source, require_kept
from samebits.data.readers.splits import KNOWN, split_of
from samebits.data.readers.targets import target_kind
from samebits.data.readers.times import no_time

_SUFFIXES = {".csv", ".tsv"}
_SPLIT_FIXES = {
    "group": "add a column `group` to the CSV: images of one group stay together",
    "time": "add a column `time` to the CSV: dates such as 2025-12-31, or numbers",
}


def read(source: Source) -> RawImages:
    """Read the images that the CSV file in the folder `data.source` lists.

    Raises:
        UserError: if there is no such CSV file: each message names the line.
    """
    path = _list_in(source)
    source = replace(source, path=path)
    labelled: list[Labelled] = []
    rejected: list[Rejected] = []
    kind = target_kind(source.settings)
    grouped, timed = source.settings.split == "group", source.settings.split == "time"
    for number, row in _rows(source):
        if isinstance(row, str):
            rejected.append(Rejected(f"{path.name}#{number}", row))
            continue
        if not any(row.values()):
            continue  # spreadsheets leave rows of nothing but separators
        name, label, split = row["path"], row["label"], row.get("split", "")
        if kind is None:
            label = class_name(label)
        group = class_name(row.get("group", ""))
        file = f"{path.name}#{number} {name}".rstrip()
        if split and split_of(split) is None:
            raise UserError(f"{path.name}, line {number}: split is {split!r}", f"it is {KNOWN}; or empty")
        try:
            member = _member(path.parent, name)
        except (OSError, ValueError) as error:
            rejected.append(Rejected(file, str(error), label))
            continue
        if kind is None and not label:
            rejected.append(Rejected(file, "it has no label"))
            continue
        if grouped and "group" in row and not group:
            rejected.append(Rejected(file, "it has no group, data.split is group", label))
            continue
        time = row.get("time") if timed else None
        if time is not None and (reason := no_time(time)):
            rejected.append(Rejected(file, reason, label))
            continue
        labelled.append(Labelled(member, label, split_of(split), group or None, time))
    if not labelled:
        first = f"; the first: {rejected[0].id}: {rejected[0].reason}" if rejected else ""
        raise UserError(f"{source.settings.source} lists no usable image{first}", "look at its `path` and `label`")
    if kind is None:
        require_kept(source.settings.source, (), {each.label for each in labelled}, rejected)
    return gather(source, labelled, rejected, _SPLIT_FIXES)


def _list_in(source: Source) -> Path:
    """The one CSV file of the folder."""
    folder, shown = source.own, source.settings.source
    if not folder.is_dir():
        raise UserError(
            f"data.source {shown} is a file, and DVC would not see its images change",
            f"name the folder that holds it and them: {Path(shown).parent.as_posix()}; one of its own, below data/raw",
        )
    lists = sorted(each for each in folder.iterdir() if each.suffix.lower() in _SUFFIXES and not is_leftover(each.name))
    if len(lists) != 1:
        found = f"{len(lists)} CSV files: {listed([each.name for each in lists])}" if lists else "no CSV file"
        raise UserError(
            f"data.source {shown} has {found}",
            "put one there that lists its images" if not lists else "keep the one that lists the images",
        )
    return lists[0]


def _member(folder: Path, name: str) -> Member:
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
    return Member(name, path, 0, path.stat().st_size)


def _rows(source: Source) -> Iterator[tuple[int, dict[str, str] | str]]:
    """Line and stripped cells, by what they say, of every row; or why it cannot be used."""
    settings = source.settings
    columns = {
        "path": "path",
        "label": "label",
        "split": settings.split_column or "split",
        "group": settings.group_column or "group",
        "time": settings.time_column or "time",
    }
    file = open_csv(source, set(columns.values()))
    needed = {"path", "label"} | {each for each in ("split", "group", "time") if getattr(settings, f"{each}_column")}
    missing = [columns[each] for each in columns if each in needed and columns[each] not in file.header]
    if missing:
        raise UserError(
            f"{file.name} has no column {', '.join(missing)}; it has {', '.join(file.header)[:200]}",
            "its first line: path,label; or name its columns in data.csv.columns",
        )
    places = {key: file.header.index(column) for key, column in columns.items() if column in file.header}
    for line, row in file.rows():
        yield line, row if isinstance(row, str) else {key: row[at].strip() for key, at in places.items()}
    if guessed := file.guessed():
        source.say(f"{file.name}: {guessed}")
