"""Passages of texts that have no paragraphs, such as speeches, as labelled texts: of which year is this?

Files are called `LABEL-title.txt` or `LABEL_title.txt`. A passage is whole sentences of together 600 characters or a
few more; what is left at the end of a text is one, too, if it has 200. With `data.split: group`, a text is in one split
as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from samebits.data.readers.reader import Source
from samebits.data.readers.text.labelled import RawTexts
from samebits.data.readers.text.paragraphs import read_parts

FULL = 600
"""Characters from which on a passage is complete."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'(]?[A-Z])")


def read(source: Source) -> RawTexts:
    """The passages of each text that the card names by its label (of one's own: of all texts).

    Raises:
        UserError: if there are no such texts, or `data.encoding` is none.
    """
    return read_parts(source, passages, "passage", "is in it")


def passages(text: str) -> Iterator[str]:
    """Whole sentences, together `FULL` characters or a few more, each passage on one line."""
    waiting: list[str] = []
    for sentence in _SENTENCE.split(" ".join(text.split())):
        waiting.append(sentence)
        if len(" ".join(waiting)) >= FULL:
            yield " ".join(waiting)
            waiting = []
    if waiting and waiting != [""]:
        yield " ".join(waiting)
