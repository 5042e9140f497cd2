"""The model that is served, and the change to another one while requests are answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.inference.answer import Answer
from samebits.inference.generate import Writer, open_writer
from samebits.inference.items import Item
from samebits.inference.predictor import Kind, Request
from samebits.inference.request import kind_for
from samebits.inference.session import open_model


@dataclass(frozen=True, eq=False)
class Served:
    """One file, open.

    Attributes:
        sha256: of the file.
        about: `kind` of its inputs, `target`, `classes`, for people and programs.
        kind: what answers; None of a language model.
        writer: what writes; None of any other model.
    """

    sha256: str
    about: dict[str, Any]
    kind: Kind | None
    writer: Writer | None

    def ask(self, items: Sequence[Item]) -> list[Answer]:
        """The answer for each item."""
        assert self.kind is not None
        return self.kind.answers_of(items)


def open_served(path: Path) -> Served:
    """An exported model of any kind, tried before anybody asks.

    Raises:
        UserError: if it is missing, damaged, or was not written by the export stage.
    """
    sha256 = sha256_file(path) if path.is_file() else ""
    _, metadata = open_model(path)
    target = metadata["target"]
    about = {
        "inputs": metadata["preprocessing"].get("kind", "image"),
        "target": target.kind,
        "classes": list(target.labels),
        "sha256": sha256,
    }
    if target.generates:
        return Served(sha256, about, None, open_writer(path))
    return Served(sha256, about, kind_for(Request(path)), None)


class Current:
    """The model that new requests get.

    A file that was replaced is opened beside the old one, and takes its place when it works. Requests that have begun
    end with the model that they began with.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _mark(path)
        self.served = open_served(path)
        self.problem = ""

    def look(self) -> bool:
        """Take the file anew if it has changed; whether that was so. One that cannot be used changes nothing."""
        mark = _mark(self._path)
        if mark is None or mark == self._seen:
            return False
        self._seen = mark
        try:
            found = open_served(self._path)
        except UserError as error:
            self.problem = error.problem
            return False
        self.problem = ""
        changed = found.sha256 != self.served.sha256
        self.served = found
        return changed


def _mark(path: Path) -> tuple[int, int, int] | None:
    """Changes where the file does."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
