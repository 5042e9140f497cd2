"""A class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from samebits.base.decimals import rounded
from samebits.metrics.scores import accuracy
from samebits.signature.kind import Array, Column, Floats, Floats64
from samebits.signature.of_classes import (
    OfClasses,
    best_first,
    best_of,
    contradiction,
    known_class,
    log_shares,
    shares_problem,
)


class ClassTarget(OfClasses):
    """One of K classes; stored as int64 indices into `classes`. Models give logits [N, K]."""

    kind: Literal["class"] = "class"
    classes: list[str] = Field(min_length=2)
    in_label_column: ClassVar[bool] = True
    evaluator: ClassVar[str] = "classification"
    output_name: ClassVar[str] = "probabilities"
    meaning: ClassVar[str] = "softmax probabilities, in the order of labels"
    stored_dtype: ClassVar[str | None] = "<i8"
    mixes: ClassVar[bool] = True
    one_class: ClassVar[bool] = True
    decided: ClassVar[str] = "class"
    noun: ClassVar[str] = "classifier"
    scores: ClassVar[dict[str, str]] = {"accuracy": "accuracy | {:.2%}"}
    doubted: ClassVar[str] = "half of one plus the probability of the best other class minus that of the label"

    @classmethod
    def class_counts(cls, targets: Array, classes: int) -> list[int]:
        return [int(n) for n in np.bincount(targets.astype(np.int64), minlength=classes)]

    @classmethod
    def label_text(cls, target: Any, classes: Sequence[str]) -> str:
        return classes[int(target)]

    @classmethod
    def corrected(cls, text: str, classes: Sequence[str]) -> int:
        return known_class(text, classes)

    def problem(self, targets: Array) -> str:
        wrong = targets.min() < 0 or targets.max() >= len(self.classes)
        return f"a label is none of the {len(self.classes)} classes" if wrong else ""

    def answers_problem(self, answers: Array) -> str:
        return shares_problem(answers)

    def outputs_of(self, answers: Floats64) -> Floats64:
        return log_shares(answers)

    def temperature_rows(self, outputs: Floats64, targets: Array) -> tuple[Floats64, npt.NDArray[np.int64]]:
        return outputs, targets.astype(np.int64)

    def decisions(self, answers: Floats) -> tuple[npt.NDArray[np.bool_], Array | None]:
        return best_of(answers)

    def score(self, answers: Floats, targets: Array) -> dict[str, float | None]:
        return {"accuracy": rounded(accuracy(answers.argmax(axis=1), targets))}  # a count

    def doubts(self, answers: Floats, targets: Array) -> tuple[Floats64, list[str]]:
        said = [self.classes[k] for k in answers.argmax(axis=1).tolist()]
        return contradiction(answers.astype(np.float64), targets), said

    def shown(self, answer: Floats, top: int) -> str:
        return "   ".join(f"{label} {probability:.1%}" for label, probability in self.ranked(answer, top))

    def columns(self, top: int = 1) -> dict[str, Column]:
        found: dict[str, Column] = {}
        for place in range(1, min(top, len(self.classes)) + 1):
            number = "" if place == 1 else f"_{place}"
            found |= {f"prediction{number}": "text", f"probability{number}": "share"}
        return found

    def cells(self, answers: Floats, top: int = 1) -> list[list[Any]]:
        order = best_first(answers)[:, :top]
        names = np.array(self.classes, dtype=object)[order].T.tolist()
        shares = np.take_along_axis(answers, order, axis=1).T.tolist()
        return [column for pair in zip(names, shares, strict=True) for column in pair]

    @property
    def answer(self) -> str:
        return f"the probability of each of {len(self.classes)} classes"

    @property
    def answer_layout(self) -> str:
        return f"[N, {len(self.classes)}], in the order of the labels."

    @property
    def checked(self) -> str:
        return ". The predicted classes are the same (two probabilities within 1e-5 of each other count as a tie)."

    @property
    def limits(self) -> str:
        return f", one of the {len(self.classes)} labels, often with high confidence"
