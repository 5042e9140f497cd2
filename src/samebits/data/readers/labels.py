"""Class names in one spelling: what looks the same is the same class, be it from a folder, a CSV or JSON Lines."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from samebits.base.errors import UserError

LONGEST_NAME = 1000
"""Characters of a label. What is longer is a text in the wrong place."""

# Zero-width space and word joiner, byte order mark, soft hyphen, marks of direction, controls.
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u00ad\u200e\u200f\u202a-\u202e\u2066-\u2069\x00-\x08\x0e-\x1b\x7f]")

_JOINERS = "\u200c\u200d"
"""Words of Persian and of Indian languages differ by them, but not at their ends."""


def class_name(label: str) -> str:
    """A label as the name of a class: composed characters (NFC), single blanks, nothing that cannot be seen.

    Raises:
        UserError: for more than `LONGEST_NAME` characters.
    """
    if len(label) > LONGEST_NAME:
        raise UserError(
            f"a label has {len(label):,} characters ({label[:40]!r}…), {LONGEST_NAME:,} are the most",
            "look at which column or key holds the label",
        )
    words = _INVISIBLE.sub("", unicodedata.normalize("NFC", label)).split()
    return " ".join(words).strip(f"{_JOINERS} ")


def differ_in_case(classes: Iterable[str]) -> list[list[str]]:
    """Groups of classes that differ in case alone, such as `Pos` and `pos`: perhaps one class, perhaps not."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        groups[unicodedata.normalize("NFKC", name).casefold()].append(name)
    return [group for group in groups.values() if len(group) > 1]
