"""The paragraphs of books as labelled texts: who wrote this? Files are called `AUTHOR-title.txt`.

A paragraph is what stands between empty lines; those of 200 to 2,000 characters are samples, and how many are
shorter or longer is said. With `data.split: group`, a book is in one split as a whole, which is harder: its names are
then unknown. `passages.py` cuts texts without paragraphs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from samebits.data.fetching.archives import Member, list_members
from samebits.data.readers.decoding import NotText, check_encoding
from samebits.data.readers.reader import Rejected, Source
from samebits.data.readers.text.documents import LARGEST, whole_text
from samebits.data.readers.text.labelled import Item, RawTexts, collect

SHORTEST, LONGEST = 200, 2000
"""Characters of a paragraph."""

_BREAK = re.compile(r"\n[ \t]*\n\s*")
Cut = Callable[[str], Iterator[str]]
"""From a whole text to its parts, each on one line."""


def read(source: Source) -> RawTexts:
    """The paragraphs of the books of each author that the card names (of one's own: of all authors).

    Raises:
        UserError: if there are no such books, or `data.encoding` is none.
    """
    return read_parts(source, paragraphs, "paragraph", "stands between empty lines")


def read_parts(source: Source, cut: Cut, noun: str, where: str) -> RawTexts:
    """Parts of the texts as samples with the beginning of the file's name as label.

    Args:
        noun: what a part is called.
        where: what is said of a text without one: `no paragraph … stands between empty lines`.

    Raises:
        UserError: as `read`.
    """
    if source.settings.encoding is not None:
        check_encoding(source.settings.encoding)
    encodings: Counter[str] = Counter()
    other: Counter[str] = Counter()
    root = "" if source.card is None else source.card.root
    members = list_members(source.own, source.scratch, root)
    named = source.card.classes if source.card else ()
    known = set(named) or {author for each in members if (author := _author(each.name))}
    raw = collect(
        source,
        _items(source, members, cut, noun, where, encodings, other),
        encodings,
        named=known,
        fix="name the files AUTHOR-title.txt",
    )
    # A line in set_aside.csv for each would be most of that file: titles, lines of a dialogue, verses.
    if other.total():
        source.say(
            f"audit: {other.total():,} {noun}s are no samples: {other['short']:,} of fewer than {SHORTEST} "
            f"characters, {other['long']:,} of more than {LONGEST:,}"
        )
    return raw


def _author(name: str) -> str | None:
    """Who wrote the book in a file of this name; None for a file that is no book."""
    path = PurePosixPath(name)
    author, mark, _ = path.stem.partition("-" if "-" in path.stem else "_")
    return author if path.suffix == ".txt" and mark and author.strip() else None


def _items(
    source: Source, members: list[Member], cut: Cut, noun: str, where: str, encodings: Counter[str], other: Counter[str]
) -> Iterator[Item | Rejected]:
    """The parts of the texts. `other` counts those that are too `short` or too `long`."""
    known = set() if source.card is None else set(source.card.classes)
    for member in members:
        author, title = _author(member.name), PurePosixPath(member.name).stem
        if author is None:
            if not known:
                lies_beside = source.card is not None
                yield Rejected(member.name, "it is not called AUTHOR-title.txt", other=lies_beside)
            continue
        if known and author not in known:
            continue
        if member.size > LARGEST:
            yield Rejected(
                member.name, f"{member.size:,} bytes; files of at most {LARGEST:,} are read: split it", author
            )
            continue
        try:
            text, encoding = whole_text(member.read(), source.settings.encoding)
        except NotText as error:
            yield Rejected(member.name, str(error), author)
            continue
        except OSError as error:
            yield Rejected(member.name, f"it cannot be read: {error.strerror}", author)
            continue
        encodings[encoding] += 1
        numbered = list(enumerate(cut(text), start=1))
        of_use = [(k, part) for k, part in numbered if SHORTEST <= len(part) <= LONGEST]
        other["short"] += sum(len(part) < SHORTEST for _, part in numbered)
        other["long"] += sum(len(part) > LONGEST for _, part in numbered)
        if not of_use:
            why = f"no {noun} of {SHORTEST} to {LONGEST:,} characters {where}"
            yield Rejected(member.name, why, author)
        for number, part in of_use:
            yield Item(
                id=f"{title}/{number:05d}",
                origin=f"{member.name}, {noun} {number}",
                text=part,
                label=author,
                group=title,
            )


def paragraphs(text: str) -> Iterator[str]:
    """What stands between empty lines, each on one line; lines end with LF."""
    for part in _BREAK.split(text):
        if line := " ".join(part.split()):
            yield line
