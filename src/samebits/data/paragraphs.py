"""The paragraphs of books as labelled texts: who wrote this? Files are called `AUTHOR-title.txt`.

A paragraph is what stands between empty lines; those of 200 to 2,000 characters are samples. With `data.split: group`,
a book is in one split as a whole, which is harder: its names are then unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from samebits.data.encodings import NotText, decode
from samebits.data.members import Member, list_members
from samebits.data.sources import SetAside, Source
from samebits.data.texts import Item, RawTexts, collect

SHORTEST, LONGEST = 200, 2000
"""Characters of a paragraph."""

_BREAK = re.compile(r"\n[ \t]*\n\s*")


def read(source: Source) -> RawTexts:
    """The paragraphs of the books of each author that the card names (of one's own: of all authors).

    Raises:
        UserError: if there are no such books.
    """
    encodings: Counter[str] = Counter()
    root = "" if source.card is None else source.card.root
    members = list_members(source.own, source.scratch, root)
    return collect(source, _items(source, members, encodings), encodings, cure="name the files AUTHOR-title.txt")


def _items(source: Source, members: list[Member], encodings: Counter[str]) -> Iterator[Item | SetAside]:
    known = set() if source.card is None else set(source.card.classes)
    for member in members:
        path = PurePosixPath(member.name)
        author, dash, _ = path.stem.partition("-")
        if path.suffix != ".txt" or not dash:
            if not known:
                yield SetAside(member.name, "it is not called AUTHOR-title.txt")
            continue
        if known and author not in known:
            continue
        try:
            text, encoding = decode(member.read(), source.settings.text.encoding)
        except NotText as error:
            yield SetAside(member.name, str(error))
            continue
        encodings[encoding] += 1
        for number, paragraph in enumerate(paragraphs(text), start=1):
            if SHORTEST <= len(paragraph) <= LONGEST:
                yield Item(
                    id=f"{path.stem}/{number:05d}",
                    origin=f"{member.name}, paragraph {number}",
                    text=paragraph,
                    label=author,
                    group=path.stem,
                )


def paragraphs(text: str) -> Iterator[str]:
    """What stands between empty lines, each on one line."""
    for part in _BREAK.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        if line := " ".join(part.split()):
            yield line
