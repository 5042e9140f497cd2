"""What a model answers for samples, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.result import Result
from samebits.inference.tags import Span
from samebits.signature.kind import TargetKind


@dataclass(frozen=True)
class Answer:
    """The answer for one sample.

    Attributes:
        name: of the sample: its file, its line, or its beginning.
        shown: the answer for people.
        classes: (label, probability), the most probable first; empty where the answer is none of labels.
        values: the numbers of an answer that is none of labels, to seven significant digits as they are shown.
        notes: what the user should know about this sample.
        spans: of a model that tags words, what it found and where.
        files: what was written for it.
    """

    name: str
    shown: str
    classes: tuple[tuple[str, float], ...] = ()
    values: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    files: tuple[Path, ...] = ()

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "shown": self.shown,
            "classes": [{"label": label, "probability": share} for label, share in self.classes],
            "values": self.values,
            "spans": [asdict(span) for span in self.spans],
            "files": self.files,
            "notes": self.notes,
        }


def answer_of(
    name: str, answer: npt.NDArray[np.float32], target: TargetKind, top: int, notes: Sequence[str] = ()
) -> Answer:
    """The answer for one sample of what a model gave, of the target's `answer_shape`.

    Args:
        top: how many classes to give.
    """
    ranked = target.ranked(answer, top)
    values = () if ranked else tuple(float(f"{value:.7g}") for value in np.ravel(answer).tolist())
    return Answer(name, target.shown(answer, top), ranked, values, tuple(notes))


@dataclass(frozen=True)
class Answers(Result):
    """Those for samples, in order; an iterator is used up by one of the two forms."""

    entries: Iterable[Answer]

    def lines(self) -> Iterator[str]:
        """One per sample, its notes below it."""
        for entry in self.entries:
            yield f"{entry.name}: {entry.shown}"
            for note in entry.notes:
                yield f"  note: {note}"

    def json(self) -> dict[str, Any]:
        return {"predictions": [entry.json() for entry in self.entries]}
