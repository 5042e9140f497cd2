"""Labelled texts in a JSON Lines file: one object a line, a key for the text, a key for the label.

data: {source: data/raw/reviews.jsonl, format: text_jsonl, text: {text: review, label: stars}}
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.data.readers.decoding import NotText, read_lines
from samebits.data.readers.reader import Rejected, Source
from samebits.data.readers.text.labelled import Item, RawTexts, collect
from samebits.params.data import DataParams

SPLIT_FIXES = {
    "group": "name the key whose equal values stay together: data.group_column",
    "time": "name the key with the date of a text: data.time_column",
}


def read(source: Source) -> RawTexts:
    """Every line of the file. Lines that cannot be used are set aside.

    Raises:
        UserError: a folder, an empty file, or one JSON array instead of lines.
    """
    path = source.own
    if path.is_dir():
        raise UserError(f"{source.name} is a folder, data.format text_jsonl reads one file", "name the file in it")
    if source.settings.text.text == source.settings.text.label:
        raise UserError(f"data.text.text and data.text.label are both {source.settings.text.text!r}", "name two keys")
    encodings: Counter[str] = Counter()
    return collect(
        source,
        _items(source, encodings),
        encodings,
        split_fixes=SPLIT_FIXES,
        fix="look at data.text.label",
        column=source.settings.text.text,
    )


def _items(source: Source, encodings: Counter[str]) -> Iterator[Item | Rejected]:
    for number, value in read_objects(source.own, source.name, source.settings, encodings):
        name = f"line {number}"
        if isinstance(value, str):
            yield Rejected(name, value)
        else:
            yield _item(value, name, f"{source.name}:{number}", source.settings)


def read_objects(
    path: Path, shown: str, settings: DataParams, encodings: Counter[str]
) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """The objects of a JSON Lines file with their lines' numbers, or why a line holds none.

    Args:
        shown: what the file is called.
        encodings: the lines of each encoding are added here.

    Raises:
        UserError: an empty file, or one JSON array instead of lines.
    """
    seen = False
    for number, line in read_lines(path, shown, settings.encoding, encodings):
        if isinstance(line, NotText):
            seen = True
            yield number, str(line)
            continue
        if not line.strip():
            continue
        if not seen and line.lstrip().startswith("["):
            raise UserError(
                f"{shown} is a JSON array, not one object a line", "write each element on a line of its own"
            )
        seen = True
        try:
            value = json.loads(line)
        except ValueError as error:
            yield number, f"no valid JSON: {error}"
            continue
        except RecursionError:
            yield number, "its JSON is nested too deeply"
            continue
        yield number, value if isinstance(value, dict) else f"{kind_of_json(value)}, not an object"
    if not seen:
        raise UserError(f"{shown} is empty", "look at data.source")


def _item(value: dict[str, Any], name: str, origin: str, settings: DataParams) -> Item | Rejected:
    of_text, of_label = settings.text.text, settings.text.label
    text, label = value.get(of_text), _plain(value.get(of_label))
    if of_text not in value:
        keys = ", ".join(repr(key[:40]) for key in list(value)[:8]) or "none"
        return Rejected(name, f"no key {of_text!r}; its keys: {keys}", label)
    if not isinstance(text, str):
        return Rejected(name, f"{of_text!r} is {kind_of_json(text)}, not a text", label)
    if of_label in value and value[of_label] is not None and label is None:
        return Rejected(name, f"{of_label!r} is {kind_of_json(value[of_label])}, neither a name nor whole number")
    return placed(Item(name, origin, text, label), value, settings)


def placed(item: Item, value: Mapping[str, Any], settings: DataParams) -> Item | Rejected:
    """An item with its split, group and time, by the keys that the settings name."""
    name, label, given = item.id, item.label, settings.split_column
    if given is not None and given not in value:
        return Rejected(name, f"no key {given!r} (data.split_column)", label)
    if settings.group_column is not None and _plain(value.get(settings.group_column)) is None:
        return Rejected(name, f"no name under {settings.group_column!r} (data.group_column)", label)
    time = value.get(settings.time_column) if settings.time_column is not None else None
    if settings.time_column is not None and (isinstance(time, bool) or not isinstance(time, str | int | float)):
        return Rejected(name, f"no date and no number under {settings.time_column!r} (data.time_column)", label)
    return replace(
        item,
        given=None if given is None or value[given] is None else str(value[given]),
        group=None if settings.group_column is None else _plain(value.get(settings.group_column)),
        time=None if time is None else str(time),
    )


def _plain(value: Any) -> str | None:
    """A name as it is, a whole number or a truth value in letters; None for what is no name of a class."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return value.strip() if isinstance(value, str) else None


def kind_of_json(value: Any) -> str:
    """What a JSON value is, for messages."""
    kinds = {dict: "an object", list: "an array", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")
