"""Running text cut into segments at paragraph borders, so that each can be assigned to a split by its content.

A segment ends after a paragraph whose hash says so, not after a fixed number of bytes: a paragraph that is inserted,
changed or removed changes the segment it lies in and perhaps the next, and every other segment keeps its content, and
with it its split.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

LEAST = 2048
MEAN = 4096
MOST = 16384
"""Characters of a segment: the fewest (the last of a document may have less), the mean, the most."""

# A paragraph with the empty lines after it; a line with its end; words with the white space after them.
_PARAGRAPH = re.compile(r".+?(?:\n[ \t]*(?:\n[ \t]*)+|\Z)", re.DOTALL)
_LINE = re.compile(r".*\n|.+\Z")
_WORDS = re.compile(rf".{{1,{LEAST}}}(?:\s+|\Z)|.{{1,{LEAST}}}", re.DOTALL)


def segments(text: str) -> Iterator[str]:
    """The segments of a document in order; joined, they are the document.

    Args:
        text: with LF as line end.
    """
    pending: list[str] = []
    size = 0
    for unit in _units(text):
        if pending and size + len(unit) > MOST:
            yield "".join(pending)
            pending, size = [], 0
        pending.append(unit)
        size += len(unit)
        if size >= LEAST and _ends(unit):
            yield "".join(pending)
            pending, size = [], 0
    if pending:
        yield "".join(pending)


def _ends(unit: str) -> bool:
    """Whether a segment ends after this unit: by its hash, on average once in MEAN - LEAST characters."""
    limit = min(1.0, len(unit) / (MEAN - LEAST)) * 2**64
    return int.from_bytes(hashlib.sha256(unit.encode()).digest()[:8], "big") < limit


def _units(text: str) -> Iterator[str]:
    """Paragraphs; of one that is too long for a segment, its lines; of such a line, its words; at last, pieces."""
    for paragraph in _PARAGRAPH.finditer(text):
        if len(paragraph[0]) <= MOST // 2:
            yield paragraph[0]
            continue
        for line in _LINE.finditer(paragraph[0]):
            if len(line[0]) <= MOST // 2:
                yield line[0]
            else:
                yield from _WORDS.findall(line[0])
