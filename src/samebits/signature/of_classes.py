"""What the kinds of target with named classes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from samebits.base.errors import listed
from samebits.base.registry import nearest
from samebits.signature.kind import Array, Floats, Floats64, InputKind
from samebits.signature.target_kind import TargetKind

TIE = 1e-5
"""Probabilities so close that rounding may swap what is decided. In fp32 rounding moves one by up to 1e-6 here; other
libraries and kernels by a little more."""


_ROUNDED = 1e-3
"""How far the sum of probabilities may be from 1: half precision rounds so much."""


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
        return tuple((self.classes[k], float(answer[k])) for k in best_first(answer)[:top].tolist())


def best_first(answers: Array) -> Array:
    """The places of the classes, the most probable first, [..., K] of probabilities [..., K]."""
    found: Array = np.argsort(-answers, axis=-1, kind="stable")
    return found


def contradiction(shares: Floats64, given: Array) -> Floats64:
    """Half of one plus the best other class's probability minus the given one's: 0 to 1, [n, ...].

    Args:
        shares: probabilities, [n, ..., K].
        given: class indices, [n, ...].
    """
    places = given[..., None].astype(np.int64)
    of_given = np.take_along_axis(shares, places, axis=-1)[..., 0]
    others = shares.copy()
    np.put_along_axis(others, places, -np.inf, axis=-1)
    found: Floats64 = (1.0 + others.max(axis=-1) - of_given) / 2.0
    return found


def known_class(name: str, classes: Sequence[str]) -> int:
    """The index of a class that the data have.

    Raises:
        ValueError: with the nearest one.
    """
    if name in classes:
        return classes.index(name)
    near = nearest(name, list(classes))
    shown = f"did you mean {near!r}?" if near else f"the classes are {listed(list(map(repr, classes)), 5)}"
    raise ValueError(f"{name!r} is no class of the data; {shown}")


def shares_problem(answers: Array) -> str:
    """Why these are no probabilities of classes, along axis 1; empty if they are."""
    sums = answers.sum(axis=1)
    if not np.isfinite(sums).all() or answers.min(initial=0) < 0:
        return "a probability is below 0 or not finite"
    worst = sums.ravel()[np.abs(sums - 1).argmax()]
    return "" if abs(worst - 1) < _ROUNDED else f"the probabilities of a sample add up to {worst:.4g}, not to 1"


def log_shares(answers: Floats64) -> Floats64:
    """Logits whose softmax these probabilities are."""
    logits: Floats64 = np.log(np.maximum(answers, np.finfo(np.float64).tiny))
    return logits


def best_of(answers: Floats, axis: int = 1) -> tuple[npt.NDArray[np.bool_], Array]:
    """The class with the highest probability, along an axis, and whether it is clear of the next one."""
    second, first = np.moveaxis(np.partition(answers, -2, axis=axis), axis, 0)[-2:]
    return first - second > TIE, answers.argmax(axis=axis)
