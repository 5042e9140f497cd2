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
from samebits.serving.source import Source


@dataclass(frozen=True, eq=False)
class Served:
    """One model, open.

    Attributes:
        sha256: of the file.
        about: `inputs`, `target`, `classes`, `sha256`, for people and programs.
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


def open_served(path: Path, most_pixels: int) -> Served:
    """An exported model of any kind, tried before anybody asks.

    Raises:
        UserError: if it is missing, damaged, or was not written by the export stage.
    """
    sha256 = sha256_file(path) if path.is_file() else ""
    opened = open_model(path, spin=False)
    _, metadata = opened
    target = metadata["target"]
    about = {
        "inputs": metadata["preprocessing"].get("kind", "image"),
        "target": target.kind,
        "classes": list(target.labels),
        "sha256": sha256,
    }
    if target.generates:
        return Served(sha256, about, None, open_writer(path, opened))
    return Served(sha256, about, kind_for(Request(path, most_pixels=most_pixels), opened), None)


class Current:
    """The model that new requests get.

    Another one is opened beside it, and takes its place when it works. Requests that have begun end with the model that
    they began with.

    Attributes:
        served: the model.
        problem: why one that came later was not taken; empty if there is none.

    Raises:
        UserError: for a model that cannot be served.
    """

    def __init__(self, source: Source, most_pixels: int) -> None:
        self._source, self._most_pixels = source, most_pixels
        self._seen = source.mark()
        with source.fetch(self._seen) as path:
            self.served = open_served(path, most_pixels)
        self.problem = self._unusable = ""

    def look(self) -> bool:
        """Take another model if there is one; whether that was so. One that cannot be used changes nothing."""
        try:
            mark = self._source.mark()
            if not mark or mark == self._seen:
                self.problem = self._unusable
                return False
            with self._source.fetch(mark) as path:
                # What was fetched and cannot be used is not tried again.
                self._seen, self._unusable = mark, ""
                try:
                    found = open_served(path, self._most_pixels)
                    self._require_same_interface(found)
                except UserError as error:
                    self._unusable = error.problem
                    raise
        except Exception as error:  # whatever is wrong, the server answers with what it has
            self.problem = error.problem if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            return False
        self.problem = ""
        changed = found.sha256 != self.served.sha256
        self.served = found
        return changed

    def _require_same_interface(self, found: Served) -> None:
        """Another kind of input has other requests: clients would only see errors."""
        for key in ("inputs", "target"):
            if (found.writer is None) != (self.served.writer is None) or found.about[key] != self.served.about[key]:
                raise UserError(
                    f"the new model has {key} {found.about[key]}, the one that is served {self.served.about[key]}",
                    "start the server anew",
                )
