"""Several classes at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from samebits.base.decimals import rounded
from samebits.base.errors import UserError, listed
from samebits.metrics.scores import class_f1, mean_of_classes
from samebits.signature.kind import Array, Column, Floats, Floats64
from samebits.signature.of_classes import TIE, OfClasses, known_class, log_shares

_SEPARATORS = re.compile(r"[;,|]")


class LabelsTarget(OfClasses):
    """Any number of K classes; stored as uint8 [K], 1 for each that applies. Models give logits [N, K].

    Attributes:
        classes: by name.
    """

    kind: Literal["labels"] = "labels"
    classes: list[str] = Field(min_length=1)
    in_label_column: ClassVar[bool] = True
    evaluator: ClassVar[str] = "multilabel"
    output_name: ClassVar[str] = "probabilities"
    meaning: ClassVar[str] = "the probability of each label, in their order; each for itself"
    stored_dtype: ClassVar[str | None] = "|u1"
    decided: ClassVar[str] = "set of labels"
    noun: ClassVar[str] = "multi-label classifier"
    scores: ClassVar[dict[str, str]] = {"macro_f1": "macro F1 | {:.2%}"}
    doubted: ClassVar[str] = "the probability that one of the labels is wrong, of the most doubtful one"

    @classmethod
    def parse(cls, text: str) -> frozenset[str]:
        """Names between `;`, `,` or `|`; an empty cell is a sample without a label."""
        return frozenset(" ".join(name.split()) for name in _SEPARATORS.split(text)) - {""}

    @classmethod
    def accept(cls, value: Any) -> frozenset[str]:
        if isinstance(value, str):
            return cls.parse(value)
        if not isinstance(value, set | frozenset | list | tuple):
            raise ValueError(f"its target is of type {type(value).__name__}: give a list of the labels that apply")
        return frozenset(" ".join(str(name).split()) for name in value) - {""}

    @classmethod
    def gather(cls, values: Sequence[frozenset[str]]) -> tuple[Array, tuple[str, ...]]:
        counts = Counter(name for names in values for name in names)
        if single := [name for name, n in sorted(counts.items()) if n == 1]:
            raise UserError(
                f"labels of one sample, which cannot be both learnt and judged: {listed(single, 5)}",
                "correct their spelling, or take them out of the cells; labels stand between ; , or |",
            )
        classes = tuple(sorted(counts))
        if not classes:
            raise UserError("no sample has a label", "look at which column holds them")
        place = {name: k for k, name in enumerate(classes)}
        targets = np.zeros((len(values), len(classes)), dtype=np.uint8)
        for row, names in enumerate(values):
            targets[row, [place[name] for name in names]] = 1
        return targets, classes

    @classmethod
    def class_counts(cls, targets: Array, classes: int) -> list[int]:
        return [int(n) for n in targets.sum(axis=0, dtype=np.int64)]

    @classmethod
    def label_text(cls, target: Any, classes: Sequence[str]) -> str:
        return "; ".join(classes[k] for k in np.flatnonzero(target).tolist())

    @classmethod
    def corrected(cls, text: str, classes: Sequence[str]) -> Array:
        target = np.zeros(len(classes), dtype=np.uint8)
        target[[known_class(name, classes) for name in sorted(cls.parse(text))]] = 1
        return target

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return (len(self.classes),)

    def problem(self, targets: Array) -> str:
        return "a label is neither 0 nor 1" if targets.max(initial=0) > 1 else ""

    def in_manifest(self, targets: Array) -> list[Any]:
        return [self.label_text(row, self.classes) for row in targets]

    def answers_problem(self, answers: Array) -> str:
        inside = ((answers >= 0) & (answers <= 1)).all()
        return "" if inside else "a probability is not between 0 and 1"

    def outputs_of(self, answers: Floats64) -> Floats64:
        return log_shares(answers) - log_shares(1.0 - answers)

    def temperature_rows(self, outputs: Floats64, targets: Array) -> tuple[Floats64, npt.NDArray[np.int64]]:
        """A row for each label: a sigmoid is the softmax of 0 and its logit."""
        logits = outputs.ravel()
        return np.stack([np.zeros_like(logits), logits], axis=1), targets.ravel().astype(np.int64)

    def decisions(self, answers: Floats) -> tuple[npt.NDArray[np.bool_], Array | None]:
        return np.abs(answers - 0.5) > TIE, answers > 0.5

    def score(self, answers: Floats, targets: Array) -> dict[str, float | None]:
        said, true = answers > 0.5, targets.astype(np.bool_)
        f1 = class_f1((said & true).sum(axis=0), true.sum(axis=0), said.sum(axis=0))
        return {"macro_f1": rounded(float(mean_of_classes(f1)))}

    def doubts(self, answers: Floats, targets: Array) -> tuple[Floats64, list[str]]:
        wrong = np.abs(answers.astype(np.float64) - targets)
        return wrong.max(axis=1), self.in_manifest(answers > 0.5)

    def shown(self, answer: Floats, top: int) -> str:
        found = [f"{name} {share:.1%}" for name, share in self.ranked(answer, len(self.classes)) if share > 0.5]
        return "   ".join(found) or "no label (best: {} {:.1%})".format(*self.ranked(answer, 1)[0])

    def columns(self, top: int = 1) -> dict[str, Column]:
        return {"prediction": "text", **{f"probability of {name}": "share" for name in self.classes}}

    def cells(self, answers: Floats, top: int = 1) -> list[list[Any]]:
        return [self.in_manifest(answers > 0.5), *answers.T.tolist()]

    @property
    def answer(self) -> str:
        return f"the probability of each of {len(self.classes)} labels, of which any number may apply"

    @property
    def answer_layout(self) -> str:
        return f"[N, {len(self.classes)}], in the order of the labels; above one half, a label applies."

    @property
    def checked(self) -> str:
        return ". The same labels are above one half (a probability within 1e-5 of it counts as a tie)."
