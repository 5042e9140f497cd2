"""What a model answers for samples, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.result import Result
from samebits.inference.calibration import Calibration
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
        interval: of each of `values`, the ends of its interval of the coverage that the model was calibrated for.
        label_set: the classes that hold the true one as often as that coverage says, the most probable first.
        ood_score: how unlike the training data the sample is, 0 to 1; None where the model does not say.
    """

    name: str
    shown: str
    classes: tuple[tuple[str, float], ...] = ()
    values: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    files: tuple[Path, ...] = ()
    interval: tuple[tuple[float, float], ...] = ()
    label_set: tuple[str, ...] = ()
    ood_score: float | None = None

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "shown": self.shown,
            "classes": [{"label": label, "probability": share} for label, share in self.classes],
            "values": self.values,
            "interval": self.interval,
            "label_set": self.label_set,
            "ood_score": self.ood_score,
            "spans": [asdict(span) for span in self.spans],
            "files": self.files,
            "notes": self.notes,
        }


def answer_of(
    name: str,
    answer: npt.NDArray[np.float32],
    target: TargetKind,
    top: int,
    notes: Sequence[str] = (),
    calibration: Calibration | None = None,
) -> Answer:
    """The answer for one sample of what a model gave, of the target's `answer_shape`.

    Args:
        top: how many classes to give.
        calibration: the model's (`open_model`); None: nothing is known of it.
    """
    ranked = target.ranked(answer, top)
    values = () if ranked else tuple(float(f"{value:.7g}") for value in np.ravel(answer).tolist())
    found = Answer(name, target.shown(answer, top), ranked, values, tuple(notes))
    return found if calibration is None else _calibrated(found, answer, target, calibration)


def _calibrated(found: Answer, answer: npt.NDArray[np.float32], target: TargetKind, calibration: Calibration) -> Answer:
    """An answer with what its model's calibration says of it."""
    scores, notes = calibration.ood_scores(answer[None]), found.notes
    score = None if scores is None else round(float(scores[0]), 6)
    if score is not None and calibration.ood_threshold is not None and score > calibration.ood_threshold:
        notes += (f"unlike the training data: {score:.2f}, above {calibration.ood_threshold:.2f}",)
    return replace(
        found,
        shown=found.shown + calibration.shown(answer, target),
        notes=notes,
        interval=calibration.interval(answer),
        label_set=calibration.label_set(answer, target),
        ood_score=score,
    )


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
