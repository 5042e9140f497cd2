"""Files below data/raw that a Dataset opens beside `data.source`: DVC would not see them change."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_watched: list[tuple[str, str, set[str]]] = []
"""The folder, the source in it and what was opened beside it; empty while nothing is watched."""


@contextmanager
def opened_beside(home: Path, source: Path) -> Iterator[set[str]]:
    """Collect the files below `home` that Python code opens meanwhile and that are not `source` nor in it.

    Libraries that open files by themselves, as HDF5 does, are not seen.
    """
    _hook()
    found: set[str] = set()
    _watched.append((os.path.realpath(home), os.path.realpath(source), found))
    try:
        yield found
    finally:
        _watched.pop()


@cache
def _hook() -> None:
    """Once: a hook cannot be taken away again."""
    sys.addaudithook(_see)


def _see(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _watched or not isinstance(arguments[0], str | bytes | os.PathLike):
        return
    home, source, found = _watched[-1]
    path = os.path.realpath(os.fsdecode(arguments[0]))
    if path.startswith(home + os.sep) and path != source and not path.startswith(source + os.sep):
        found.add(path)
