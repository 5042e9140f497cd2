"""A class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from samebits.base.decimals import rounded
from samebits.metrics.scores import accuracy
from samebits.signature.kind import Array, Floats, InputKind, TargetKind

_TIE = 1e-5  # rounding in fp32 moves a probability by up to 1e-6 here; other libraries and kernels by a little more


class ClassTarget(TargetKind):
    """One of K classes; stored as int64 indices into `classes`. Models give logits [N, K]."""

    kind: Literal["class"] = "class"
    classes: list[str] = Field(min_length=2)
    in_label_column: ClassVar[bool] = True
    evaluator: ClassVar[str] = "classification"
    output_name: ClassVar[str] = "probabilities"
    meaning: ClassVar[str] = "softmax probabilities, in the order of labels"
    stored_dtype: ClassVar[str | None] = "<i8"
    mixes: ClassVar[bool] = True
    decided: ClassVar[str] = "class"
    noun: ClassVar[str] = "classifier"
    scores: ClassVar[dict[str, str]] = {"accuracy": "accuracy | {:.2%}"}

    @classmethod
    def fit(cls, targets: Array, classes: Sequence[str], name: str) -> Self:
        return cls(classes=list(classes))

    @classmethod
    def class_counts(cls, targets: Array, classes: int) -> list[int]:
        return [int(n) for n in np.bincount(targets.astype(np.int64), minlength=classes)]

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.classes)

    def width(self, inputs: InputKind) -> int:
        return len(self.classes)

    def problem(self, targets: Array) -> str:
        wrong = targets.min() < 0 or targets.max() >= len(self.classes)
        return f"a label is none of the {len(self.classes)} classes" if wrong else ""

    def decisions(self, answers: Floats) -> tuple[npt.NDArray[np.bool_], Array | None]:
        best = np.partition(answers, -2, axis=1)[:, -2:]
        return best[:, 1] - best[:, 0] > _TIE, answers.argmax(axis=1)

    def score(self, answers: Floats, targets: Array) -> dict[str, float | None]:
        return {"accuracy": rounded(accuracy(answers.argmax(axis=1), targets))}  # a count

    @property
    def answer_shape(self) -> tuple[int, ...]:
        return (len(self.classes),)

    def ranked(self, answer: Floats, top: int) -> tuple[tuple[str, float], ...]:
        order = np.argsort(-answer, kind="stable")[:top]
        return tuple((self.classes[k], float(answer[k])) for k in order.tolist())

    def shown(self, answer: Floats, top: int) -> str:
        return "   ".join(f"{label} {probability:.1%}" for label, probability in self.ranked(answer, top))

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
