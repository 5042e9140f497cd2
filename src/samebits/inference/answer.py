"""What a model answers for a sample, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from samebits.base.decimals import printed_number, printed_share
from samebits.inference.calibration import UNCALIBRATED, Calibration
from samebits.inference.tags import Span
from samebits.signature.kind import Column, Floats
from samebits.signature.target_kind import TargetKind


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

    @property
    def cells(self) -> dict[str, str | float]:
        """The answer in the columns of a table."""
        if self.given is None or self.reading is None:
            return dict(self.more)
        target = self.reading.target
        found = target.cells(self.given, self.reading.flat_top)
        found += self.reading.calibration.cells(self.given, target, self.ood_score)
        return {**dict(zip(self.reading.names, found, strict=True)), **self.more}

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


def answer_of(name: str, given: Floats, reading: Reading, notes: Sequence[str] = ()) -> Answer:
    """The answer for one sample of what a model gave, with what its calibration says of it."""
    score = reading.calibration.ood_score(given)
    told = (*notes, *reading.calibration.notes(score))
    return Answer(name, notes=told, ood_score=score, given=given, reading=reading)
