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

from samebits.base.errors import UserError
from samebits.data.fetching.archives import Member, list_tree
from samebits.data.readers.decoding import LONGEST, NotText, check_encoding, decode, require_unmixed
from samebits.data.readers.reader import Rejected, Source
from samebits.data.readers.splits import are_splits, first_folders, require_filled
from samebits.data.readers.text.labelled import Item, RawTexts, collect

_TABLE = "put the texts into a CSV or JSON Lines file that says its {} (data.{}_column), or set data.split: hash"
_SPLIT_FIXES = {key: _TABLE.format(key, key) for key in ("group", "time")}
_WORD = re.compile(r"[^\W_]+")


def read(source: Source) -> RawTexts:
    """Every file of every class.

    Raises:
        UserError: no folder, no class, a class without a file.
    """
    encodings: Counter[str] = Counter()
    if source.settings.encoding is not None:
        check_encoding(source.settings.encoding)

    def text_of(data: bytes) -> str:
        text, encoding = decode(data, source.settings.encoding)
        if source.settings.encoding is None:
            require_unmixed(data, encoding)
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

    Raises:
        UserError: as `read`.
    """
    root = "" if source.card is None else source.card.root
    found_files, folders = list_tree(source.own, source.scratch, root)
    members = [each for each in found_files if PurePosixPath(each.name).suffix not in skip]
    if len(members) < len(found_files):
        source.say(f"{len(found_files) - len(members):,} files with {', '.join(skip)} are no samples")
    known = () if source.card is None else tuple(source.card.classes)
    splits = are_splits(source.settings.source, first_folders(members))
    if members and not known:
        require_filled(source.name, members, folders, splits=splits)
    found = (_item(each, source, splits, known, text_of) for each in members)
    return collect(
        source,
        found,
        encodings,
        named=known or {folder for each in members if (folder := _place(each.name, splits)[1])},
        split_fixes=_SPLIT_FIXES,
        fix="put the texts of each class into a folder of its name",
    )


def _place(name: str, splits: bool) -> tuple[str | None, str | None]:
    """The split and the class folder of a file, None where it lies in none."""
    parts = PurePosixPath(name).parts
    given, parts = (parts[0], parts[1:]) if splits else (None, parts)
    return given, parts[0] if len(parts) > 1 else None


def _item(
    member: Member, source: Source, splits: bool, known: Sequence[str], text_of: Callable[[bytes], str]
) -> Item | Rejected:
    given, folder = _place(member.name, splits)
    if folder is None:
        return Rejected(member.name, "it lies in no folder of a class")
    label: str | None = folder
    if known:
        label = next((word for word in _WORD.findall(folder) if word in known), None)
        if label is None:
            return Rejected(member.name, f"its folder {folder!r} names none of the classes {', '.join(known)}")
    if member.size > LONGEST:
        return Rejected(
            member.name, f"{member.size >> 20} MiB are more than the {LONGEST >> 20} MiB of one text", label
        )
    try:
        text = text_of(member.read())
    except NotText as error:
        return Rejected(member.name, str(error), label)
    except OSError as error:
        return Rejected(member.name, f"it cannot be read: {error.strerror}", label)
    except UserError:  # the setting is wrong, not the file
        raise
    except Exception as error:  # whatever a library runs into in one file costs that file alone
        return Rejected(member.name, f"it cannot be read ({type(error).__name__}: {error})", label)
    return Item(member.name, f"{source.name}/{member.name}", text, label, given)
