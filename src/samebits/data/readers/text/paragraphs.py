"""The paragraphs of books as labelled texts: who wrote this? Files are called `AUTHOR-title.txt`.

A paragraph is what stands between empty lines; those of 200 to 2,000 characters are samples, and how many are
shorter or longer is said. With `data.split: group`, a book is in one split as a whole, which is harder: its names are
then unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from samebits.data.fetching.archives import Member, list_members
from samebits.data.readers.decoding import NotText, check_encoding
from samebits.data.readers.reader import Rejected, Source
from samebits.data.readers.text.documents import LARGEST, whole_text
from samebits.data.readers.text.labelled import Item, RawTexts, collect

SHORTEST, LONGEST = 200, 2000
"""Characters of a paragraph."""

_BREAK = re.compile(r"\n[ \t]*\n\s*")


def read(source: Source) -> RawTexts:
    """The paragraphs of the books of each author that the card names (of one's own: of all authors).

    Raises:
        UserError: if there are no such books, or `data.encoding` is none.
    """
    if source.settings.encoding is not None:
        check_encoding(source.settings.encoding)
    encodings: Counter[str] = Counter()
    other: Counter[str] = Counter()
    root = "" if source.card is None else source.card.root
    members = list_members(source.own, source.scratch, root)
    known = set(source.card.classes) if source.card else {author for each in members if (author := _author(each.name))}
    raw = collect(
        source,
        _items(source, members, encodings, other),
        encodings,
        named=known,
        fix="name the files AUTHOR-title.txt",
    )
    # A line in set_aside.csv for each would be most of that file: titles, lines of a dialogue, verses.
    if other.total():
        source.say(
            f"audit: {other.total():,} paragraphs are no samples: {other['short']:,} of fewer than {SHORTEST} "
            f"characters, {other['long']:,} of more than {LONGEST:,}"
        )
    return raw


def _author(name: str) -> str | None:
    """Who wrote the book in a file of this name; None for a file that is no book."""
    path = PurePosixPath(name)
    author, dash, _ = path.stem.partition("-")
    return author if path.suffix == ".txt" and dash and author.strip() else None


def _items(
    source: Source, members: list[Member], encodings: Counter[str], other: Counter[str]
) -> Iterator[Item | Rejected]:
    """The books' paragraphs. `other` counts those that are too `short` or too `long`."""
    known = set() if source.card is None else set(source.card.classes)
    for member in members:
        author, title = _author(member.name), PurePosixPath(member.name).stem
        if author is None:
            if not known:
                yield Rejected(member.name, "it is not called AUTHOR-title.txt")
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
        numbered = list(enumerate(paragraphs(text), start=1))
        of_use = [(k, part) for k, part in numbered if SHORTEST <= len(part) <= LONGEST]
        other["short"] += sum(len(part) < SHORTEST for _, part in numbered)
        other["long"] += sum(len(part) > LONGEST for _, part in numbered)
        if not of_use:
            why = f"no paragraph of {SHORTEST} to {LONGEST:,} characters stands between empty lines"
            yield Rejected(member.name, why, author)
        for number, paragraph in of_use:
            yield Item(
                id=f"{title}/{number:05d}",
                origin=f"{member.name}, paragraph {number}",
                text=paragraph,
                label=author,
                group=title,
            )


def paragraphs(text: str) -> Iterator[str]:
    """What stands between empty lines, each on one line; lines end with LF."""
    for part in _BREAK.split(text):
        if line := " ".join(part.split()):
            yield line
