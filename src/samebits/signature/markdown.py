"""Names from the data inside Markdown."""

from __future__ import annotations

import re

_LETTERS = 60
"""Shown of a name; files hold it whole."""

_MARKUP = re.compile(r"([\\`*\[\]<>|$~]|&(?=[#\w]+;))")


def one_line(name: str) -> str:
    """A name as Markdown that shows it, on one line."""
    line = " ".join(name.split())
    return _MARKUP.sub(r"\\\1", line if len(line) <= _LETTERS else line[: _LETTERS - 1] + "…")
