"""Documents of running text: which files of a source are some, and their text, whatever encoding they are in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from samebits.base.errors import UserError
from samebits.data.fetching.archives import list_folder
from samebits.data.readers.decoding import NotText, decode, require_unmixed
from samebits.data.readers.reader import Rejected, Source

SUFFIXES = (".txt", ".text", ".md")
LARGEST = 1 << 30
"""Bytes of the largest file that is read: one file is held in memory at a time."""

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")


def documents(source: Source, set_aside: list[Rejected]) -> Iterator[tuple[str, Path]]:
    """Name and path of each document, sorted by name.

    Raises:
        UserError: if there is none.
    """
    if source.path is None:
        yield from ((file.name, source.files[file.name]) for file in source.catalogued.files)
        return
    root = source.own
    if root.is_file():
        if root.suffix.lower() not in SUFFIXES:
            raise UserError(f"{root.name} is no text file", f"name a file that ends in {', '.join(SUFFIXES)}")
        yield root.name, root
        return
    found = [(each.name, each.path) for each in list_folder(root)]
    texts = [(name, path) for name, path in found if path.suffix.lower() in SUFFIXES]
    if not texts:
        raise UserError(
            f"{source.settings.source} holds no text file ({len(found):,} other files)",
            f"put files there that end in {', '.join(SUFFIXES)}",
        )
    for name, path in found:
        if path.suffix.lower() not in SUFFIXES:
            set_aside.append(Rejected(name, f"no text file; {', '.join(SUFFIXES)} are read", other=True))
    yield from texts


def read_text(path: Path, encoding: str | None) -> tuple[str, str]:
    """A file as text with LF as line end, and its encoding.

    Raises:
        NotText: if it is too large, empty or no text; the message is the reason.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise NotText(f"{size:,} bytes; files of at most {LARGEST:,} are read: split it")
        data = path.read_bytes()
    except OSError as error:
        raise NotText(f"cannot be read: {error.strerror}") from None
    return whole_text(data, encoding)


def whole_text(data: bytes, encoding: str | None) -> tuple[str, str]:
    """The bytes of a document as text with LF as line end, and its encoding.

    Raises:
        NotText: if it is empty or no text; the message is the reason.
    """
    text, found = decode(data, encoding)
    if encoding is None:
        require_unmixed(data, found)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise NotText("holds no text" if text else "is empty")
    if len(_CONTROL.findall(text)) * 100 > len(text):
        raise NotText("more than 1 % of it are control characters: it is no text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotText(f"character {error.start:,} is half of a surrogate pair") from None
    return text, found
