"""What a model answers for a sample, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from samebits.base.decimals import printed_number, printed_share
from samebits.inference.calibration import UNCALIBRATED, Calibration
from samebits.inference.tags import Span
from samebits.signature.kind import Column, Floats
from samebits.signature.target_kind import TargetKind

_AT_ONCE = 1 << 20
"""Values that are made into cells together: of a million rows in a table, one by one takes most of the time."""


@dataclass(frozen=True)
class Reading:
    """How the answers of one job are read.

    Attributes:
        target: what they are of.
        top: how many classes are given.
        flat_top: how many have columns in a table.
        calibration: what was fitted on the validation split.
    """

    target: TargetKind
    top: int = 3
    flat_top: int = 1
    calibration: Calibration = UNCALIBRATED

    @property
    def columns(self) -> dict[str, Column]:
        """Of the answers as a table, and what they hold."""
        return self.target.columns(self.flat_top) | self.calibration.columns(self.target)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(self.columns)

    def cells(self, answers: Sequence[Answer]) -> list[list[Any]]:
        """The columns of answers that the model gave an array for."""
        given = np.stack([each.given for each in answers if each.given is not None])
        scores = [each.ood_score for each in answers]
        return self.target.cells(given, self.flat_top) + self.calibration.cells(given, self.target, scores)


@dataclass(slots=True)  # not frozen: as of `Item`
class Answer:
    """The answer for one sample. Nothing is made of what the model gave until it is asked for: of a million rows in a
    table, nobody reads lines.

    Attributes:
        name: of the sample: its file, its line, what the column has that was chosen for it, or its beginning.
        said: the answer for people, where the model gave no array.
        notes: what the user should know about this sample.
        spans: of a model that tags words, what it found and where.
        files: what was written for it.
        more: cells that are not made of `given`.
        error: why there is no answer; empty if there is one.
        ood_score: how unlike the training data the sample is, 0 to 1; None where the model does not say.
        given: by the model, of the target's `answer_shape`.
        reading: of `given`.
    """

    name: str
    said: str = ""
    notes: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    files: tuple[Path, ...] = ()
    more: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    ood_score: float | None = None
    given: Floats | None = field(default=None, compare=False)
    reading: Reading | None = field(default=None, compare=False)

    @property
    def shown(self) -> str:
        """The answer for people."""
        if self.given is None or self.reading is None:
            return self.said
        target = self.reading.target
        return target.shown(self.given, self.reading.top) + self.reading.calibration.shown(self.given, target)

    @property
    def classes(self) -> tuple[tuple[str, float], ...]:
        """(label, probability), the most probable first; empty where the answer is none of labels."""
        if self.given is None or self.reading is None:
            return ()
        return self.reading.target.ranked(self.given, self.reading.top)

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers of an answer that is none of labels."""
        if self.given is None or self.reading is None or self.reading.target.labels:
            return ()
        return tuple(self.given.ravel().tolist())

    @property
    def interval(self) -> tuple[tuple[float, float], ...]:
        """Of each of `values`, the ends of its interval of the coverage that the model was calibrated for."""
        return () if self.given is None or self.reading is None else self.reading.calibration.interval(self.given)

    @property
    def label_set(self) -> tuple[str, ...]:
        """The classes that hold the true one as often as that coverage says, the most probable first."""
        if self.given is None or self.reading is None:
            return ()
        return self.reading.calibration.label_set(self.given, self.reading.target)

    def json(self) -> dict[str, Any]:
        """For programs, in the digits that float32 holds (`base/decimals.py`)."""
        return {
            "name": self.name,
            "shown": self.shown,
            "classes": [{"label": label, "probability": printed_share(share)} for label, share in self.classes],
            "values": [printed_number(value) for value in self.values],
            "interval": [[printed_number(end) for end in ends] for ends in self.interval],
            "label_set": self.label_set,
            "ood_score": None if self.ood_score is None else printed_share(self.ood_score),
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
    name: str, given: Floats, reading: Reading, notes: Sequence[str] = (), ood_score: float | None = None
) -> Answer:
    """The answer for one sample of what a model gave, with what its calibration says of it."""
    told = (*notes, *reading.calibration.notes(ood_score))
    return Answer(name, notes=told, ood_score=ood_score, given=given, reading=reading)


def cells_of(answers: Sequence[Answer], names: Sequence[str]) -> list[list[Any]]:
    """Answers of one job in columns of a table, each as long as there are answers; None where one has no such cell."""
    found: dict[str, list[Any]] = {name: [None] * len(answers) for name in names}
    given = [place for place, each in enumerate(answers) if each.given is not None]
    largest = max((each.given.size for each in answers if each.given is not None), default=1)
    many = max(1, _AT_ONCE // largest)
    for start in range(0, len(given), many):
        places = given[start : start + many]
        reading = answers[places[0]].reading
        assert reading is not None
        for name, column in zip(reading.names, reading.cells([answers[k] for k in places]), strict=True):
            if name in found:
                cells = found[name]
                for place, cell in zip(places, column, strict=True):
                    cells[place] = cell
    for place, each in enumerate(answers):
        for name in each.more.keys() & found.keys():
            found[name][place] = each.more[name]
    return list(found.values())
