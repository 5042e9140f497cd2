"""Labelled texts as files: a folder a class, or the same below `train/`, `validation/` and `test/`.

    data: {source: data/raw/reviews, format: text_folder}

An archive (.zip, .tar, .tgz) is read like the folder it holds. `format: mail` reads each file as a mail: subject and
body, no other header. Where a card names the classes, a folder counts for the class that its name has as a word:
`easy-ham-1` for `ham`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from samebits.data.encodings import LONGEST, NotText, check_encoding, decode
from samebits.data.members import Member, list_members
from samebits.data.sources import SetAside, Source
from samebits.data.texts import Item, RawTexts, collect, given_name
from samebits.errors import UserError

_WORD = re.compile(r"[^\W_]+")


def read(source: Source) -> RawTexts:
    """Every file of every class.

    Raises:
        UserError: no folder, no class, a class without a file.
    """
    encodings: Counter[str] = Counter()
    if source.settings.text.encoding is not None:
        check_encoding(source.settings.text.encoding)

    def text_of(data: bytes) -> str:
        text, encoding = decode(data, source.settings.text.encoding)
        encodings[encoding] += 1
        return text

    return read_files(source, text_of, encodings)


def read_files(
    source: Source, text_of: Callable[[bytes], str], encodings: Counter[str], skip: tuple[str, ...] = ()
) -> RawTexts:
    """Files as texts.

    Args:
        text_of: the content of a file to its text; raises NotText for what is none.
        skip: suffixes of files that are no samples.
    """
    if source.path is not None and source.path.is_dir():
        _require_filled(source)
    root = "" if source.card is None else source.card.root
    found_files = list_members(source.own, source.scratch, root)
    members = [each for each in found_files if PurePosixPath(each.name).suffix not in skip]
    if len(members) < len(found_files):
        source.say(f"{len(found_files) - len(members):,} files with {', '.join(skip)} are no samples")
    first = {PurePosixPath(each.name).parts[0] for each in members if "/" in each.name}
    halves = bool(first) and all(given_name(name) for name in first) and "train" in {name.lower() for name in first}
    known = () if source.card is None else tuple(source.card.classes)
    found = (_item(each, source, halves, known, text_of) for each in members)
    return collect(source, found, encodings, cure="put the texts of each class into a folder of its name")


def _item(
    member: Member, source: Source, halves: bool, known: Sequence[str], text_of: Callable[[bytes], str]
) -> Item | SetAside:
    parts = PurePosixPath(member.name).parts
    given, parts = (parts[0], parts[1:]) if halves else (None, parts)
    if len(parts) < 2:
        return SetAside(member.name, "it lies in no folder of a class")
    label: str | None = parts[0]
    if known:
        label = next((word for word in _WORD.findall(parts[0]) if word in known), None)
        if label is None:
            return SetAside(member.name, f"its folder {parts[0]!r} names none of the classes {', '.join(known)}")
    if member.size > LONGEST:
        return SetAside(member.name, f"{member.size >> 20} MiB are more than the {LONGEST >> 20} MiB of one text")
    try:
        text = text_of(member.read())
    except NotText as error:
        return SetAside(member.name, str(error))
    except OSError as error:
        return SetAside(member.name, f"it cannot be read: {error.strerror}")
    return Item(member.name, f"{source.name}/{member.name}", text, label, given)


def _require_filled(source: Source) -> None:
    """A folder without a file is a class that was forgotten, or one that was lost on the way."""
    folders = sorted(each for each in source.own.iterdir() if each.is_dir() and not each.name.startswith("."))
    empty = [each.name for each in folders if not any(path.is_file() for path in each.rglob("*"))]
    if empty:
        raise UserError(
            f"{source.name}: no file in the folder {', '.join(empty[:8])}", "put texts into it, or remove the folder"
        )
