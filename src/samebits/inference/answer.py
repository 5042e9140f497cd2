"""What a model answers for a sample, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.decimals import printed_number, printed_share
from samebits.inference.tags import Span
from samebits.signature.kind import TargetKind


@dataclass(frozen=True)
class Answer:
    """The answer for one sample.

    Attributes:
        name: of the sample: its file, its line, what the column has that was chosen for it, or its beginning.
        shown: the answer for people.
        classes: (label, probability), the most probable first; empty where the answer is none of labels.
        values: the numbers of an answer that is none of labels.
        notes: what the user should know about this sample.
        spans: of a model that tags words, what it found and where.
        files: what was written for it.
        cells: the answer in the columns of a table.
        error: why there is no answer; empty if there is one.
    """

    name: str
    shown: str
    classes: tuple[tuple[str, float], ...] = ()
    values: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    files: tuple[Path, ...] = ()
    cells: Mapping[str, str | float] = field(default_factory=dict, compare=False)
    error: str = ""

    def json(self) -> dict[str, Any]:
        """For programs, in the digits that float32 holds (`base/decimals.py`)."""
        return {
            "name": self.name,
            "shown": self.shown,
            "classes": [{"label": label, "probability": printed_share(share)} for label, share in self.classes],
            "values": [printed_number(value) for value in self.values],
            "spans": [asdict(span) | {"probability": printed_share(span.probability)} for span in self.spans],
            "files": self.files,
            "notes": self.notes,
            "error": self.error or None,
        }

    def lines(self) -> list[str]:
        """For people: one, and its notes below it."""
        first = f"{self.name}: error: {self.error}" if self.error else f"{self.name}: {self.shown}"
        return [first, *(f"  note: {note}" for note in self.notes)]


def answer_of(
    name: str, answer: npt.NDArray[np.float32], target: TargetKind, top: int, notes: Sequence[str] = ()
) -> Answer:
    """The answer for one sample of what a model gave, of the target's `answer_shape`.

    Args:
        top: how many classes to give.
    """
    values = () if target.labels else tuple(np.ravel(answer).tolist())
    cells = dict(zip(target.columns(top), target.cells(answer, top), strict=True))
    return Answer(name, target.shown(answer, top), target.ranked(answer, top), values, tuple(notes), cells=cells)
