"""The classes of masks, as `classes.txt` or `classes.csv` beside them lists them."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError, listed
from samebits.data.fetching.archives import Member
from samebits.data.readers.decoding import NotText, decode
from samebits.data.readers.image.mask_pixels import Colour
from samebits.data.readers.labels import class_name
from samebits.signature.mask import IGNORED, MOST_CLASSES, default_colours

CLASS_FILES = ("classes.csv", "classes.txt")

_KEYS = {"class": "name", "label": "name", "id": "index", "value": "index", "color": "colour"} | {
    letter: name for name in ("red", "green", "blue") for letter in (name[0], name)
}
_HEX = re.compile("#?([0-9a-fA-F]{6})")
_FIX = "columns: name, and index or colour (#rrggbb, or red, green and blue) where they are needed"
_LARGEST_INDEX = 65535


@dataclass(frozen=True)
class MaskClasses:
    """The classes of masks.

    Attributes:
        names: in order.
        colours: RGB -> index in the table, where masks are read by colours.
        table: of each index in a mask file, the class: int64; `IGNORED` for pixels that do not count, -1 for none.
        shown_colours: RGB of each class.
    """

    names: tuple[str, ...]
    colours: Mapping[Colour, int] | None
    table: npt.NDArray[np.int64]
    shown_colours: Sequence[Sequence[int]]


def read_classes(member: Member, shown: str) -> MaskClasses:
    """The list of classes.

    Raises:
        UserError: naming the line.
    """
    place = f"{shown}/{member.name}"
    try:
        text = decode(member.read())[0].removeprefix("\ufeff")
    except (NotText, OSError) as error:
        raise UserError(f"{place}: {error}", "save it as UTF-8") from None
    rows = _lines(text) if member.name.endswith(".txt") else _rows(text, place)
    if not rows:
        raise UserError(f"{place} names no class", _FIX)
    entries = [(*_entry(row, place, line, number), line) for number, (line, row) in enumerate(rows)]
    names = [name for name, index, _, _ in entries if index != IGNORED]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{place} names the class {listed(twice)} twice", "give each class a name of its own")
    if not 2 <= len(names) <= MOST_CLASSES:
        raise UserError(f"{place} names {len(names)} classes", f"masks have 2 to {MOST_CLASSES}, 255 is not counted")
    indices = [index for _, index, _, _ in entries]
    if again := sorted({index for index in indices if indices.count(index) > 1}):
        raise UserError(f"{place} has the index {listed([str(each) for each in again])} twice", "correct it")
    entries.sort(key=lambda entry: entry[1])
    places = {index: k for k, index in enumerate(sorted(set(indices) - {IGNORED}))} | {IGNORED: IGNORED}
    table = np.full(max(*indices, IGNORED) + 1, -1, dtype=np.int64)
    for index, k in places.items():
        table[index] = k
    named = [name for name, index, _, _ in entries if index != IGNORED]
    given = [(colour, index, line) for _, index, colour, line in entries]
    colours: dict[Colour, int] = {}
    for colour, index, line in given:
        if colour is None:
            continue
        if colour in colours:
            raise UserError(f"{place}, line {line}: two classes have the colour {_shown(colour)}", "correct it")
        colours[colour] = index
    if colours and len(colours) < len(given):
        line = next(line for colour, _, line in given if colour is None)
        raise UserError(f"{place}, line {line}: the class has no colour, others have one", _FIX)
    drawn = [list(colour) for colour, index, _ in given if colour is not None and index != IGNORED]
    return MaskClasses(tuple(named), colours or None, table, drawn or default_colours(len(named)))


def _lines(text: str) -> list[tuple[int, dict[str, str]]]:
    return [(at, {"name": line.strip()}) for at, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _rows(text: str, place: str) -> list[tuple[int, dict[str, str]]]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(text.splitlines(), delimiter=separator, skipinitialspace=True)
    rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    if not rows:
        return []
    header = [_KEYS.get(cell.lower(), cell.lower()) for cell in rows[0][1]]
    if "name" not in header:
        raise UserError(f"{place}: its first line has no `name`: {first[:60]!r}", _FIX)
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise UserError(f"{place}, line {line} has {len(row)} cells, its first line {len(header)}", _FIX)
    return [(line, dict(zip(header, row, strict=True))) for line, row in rows[1:]]


def _entry(row: Mapping[str, str], place: str, line: int, number: int) -> tuple[str, int, Colour | None]:
    """Name, index and colour of a class; the index is its number where the file has none."""
    name = class_name(row["name"])
    if not name:
        raise UserError(f"{place}, line {line}: the class has no name", _FIX)
    index = number
    if (text := row.get("index")) is not None:
        if not (text.isascii() and text.isdigit() and int(text) <= _LARGEST_INDEX):
            raise UserError(
                f"{place}, line {line}: index is {text[:40]!r}",
                f"it is a whole number, {IGNORED} for pixels that do not count",
            )
        index = int(text)
    return name, index, _colour(row, place, line)


def _colour(row: Mapping[str, str], place: str, line: int) -> Colour | None:
    parts = [row.get(name, "") for name in ("red", "green", "blue")]
    if any(parts):
        shown = ", ".join(parts)
    elif text := row.get("colour", ""):
        if found := _HEX.fullmatch(text):
            code = int(found[1], 16)
            return code >> 16, code >> 8 & 255, code & 255
        parts, shown = re.split(r"[\s,;]+", text.strip("()[]")), text
    else:
        return None
    values = [int(part) if part.isascii() and part.isdigit() else -1 for part in parts]
    if len(values) != 3 or not all(0 <= value <= 255 for value in values):
        raise UserError(f"{place}, line {line}: {shown[:40]!r} is no colour", "write it as #rrggbb, or 255 0 0")
    return values[0], values[1], values[2]


def _shown(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
