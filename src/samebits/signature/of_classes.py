"""What the kinds of target with named classes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from samebits.signature.kind import Array, Floats, InputKind, TargetKind

TIE = 1e-5
"""Probabilities so close that rounding may swap what is decided. In fp32 rounding moves one by up to 1e-6 here; other
libraries and kernels by a little more."""


class OfClasses(TargetKind):
    """Probabilities of K classes.

    Attributes:
        classes: by name.
    """

    classes: list[str]

    @classmethod
    def fit(cls, targets: Array, classes: Sequence[str], name: str) -> Self:
        return cls(classes=list(classes))

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.classes)

    def width(self, inputs: InputKind) -> int:
        return len(self.classes)

    @property
    def answer_shape(self) -> tuple[int, ...]:
        return (len(self.classes),)

    def ranked(self, answer: Floats, top: int) -> tuple[tuple[str, float], ...]:
        order = np.argsort(-answer, kind="stable")[:top]
        return tuple((self.classes[k], float(answer[k])) for k in order.tolist())


def best_of(answers: Floats, axis: int = 1) -> tuple[npt.NDArray[np.bool_], Array]:
    """The class with the highest probability, along an axis, and whether it is clear of the next one."""
    second, first = np.moveaxis(np.partition(answers, -2, axis=axis), axis, 0)[-2:]
    return first - second > TIE, answers.argmax(axis=axis)
