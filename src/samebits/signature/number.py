"""A number."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from samebits.base.decimals import printed, rounded_single
from samebits.base.errors import UserError
from samebits.metrics.scores import r2
from samebits.signature.kind import Array, Floats, Floats64, InputKind
from samebits.signature.target_kind import TargetKind

_UNIT = re.compile(r"(.*\S) ?[\[(]([^\[\]()]*[^\d\[\]()][^\[\]()]*)[\])]")
"""Not `label[0]`: that is a place."""
_LEAST_SPREAD, _MOST_SPREAD = 1e-30, 1e30
"""Its inverse, its square and ten times its values must be numbers of float32, too."""


def finite(text: str) -> float:
    """A number that float32 holds.

    Raises:
        ValueError: with the reason why it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= float(np.finfo(np.float32).max):
        raise ValueError(f"{text[:40]!r} is no finite number" if text else "it has no number")
    return value


def named_value(name: str, value: float) -> str:
    """A number for people, with the unit that the name of its column ends in: `price 162.69 EUR` for `price [EUR]`."""
    match = _UNIT.fullmatch(name)
    return f"{match[1]} {printed(value)} {match[2]}" if match else f"{name} {printed(value)}"


def shortest(value: Any) -> str:
    """The shortest text of a float32 that gives it back: `0.1`, `3`."""
    return str(np.float32(value)).removesuffix(".0")


def mean_and_std(targets: Array, name: str) -> tuple[float, float]:
    """Of the training targets, [n].

    Raises:
        UserError: if there is nothing to learn in them, or they cannot be computed with.
    """
    exact = targets.astype(np.float64)
    spread = float(exact.std())
    if spread and not _LEAST_SPREAD < spread < _MOST_SPREAD:
        raise UserError(
            f"the target {name} spreads by {spread:g} (standard deviation), which float32 cannot compute with",
            "multiply it by a power of ten",
        )
    if spread == 0.0:
        raise UserError(
            f"the target {name} is {exact[0]:g} in every training row: there is nothing to learn",
            "set data.split or data.validation_fraction and data.test_fraction to something else",
        )
    return float(exact.mean()), spread


class NumberTarget(TargetKind):
    """A number; stored as float32, as it is. Models give (value - mean) / std, [N].

    Attributes:
        mean, std: over the training split.
    """

    kind: Literal["number"] = "number"
    name: str
    mean: float
    std: float = Field(gt=0.0)
    in_label_column: ClassVar[bool] = True
    evaluator: ClassVar[str] = "regression"
    output_name: ClassVar[str] = "values"
    meaning: ClassVar[str] = "the predicted number, in the unit of the data"
    stored_dtype: ClassVar[str | None] = "<f4"
    scores: ClassVar[dict[str, str]] = {"r2": "R² | {:.4f}"}
    doubted: ClassVar[str] = "how far the label is from the model's number, in standard deviations of the target"

    @classmethod
    def parse(cls, text: str) -> float:
        return finite(text)

    @classmethod
    def gather(cls, values: Sequence[float]) -> tuple[Array, tuple[str, ...]]:
        targets = np.array(values, dtype=np.float32)
        if len(targets) and targets.min() == targets.max():
            raise UserError(f"all targets are {targets[0]:g}: there is nothing to learn", "look at the labels")
        return targets, ()

    @classmethod
    def fit(cls, targets: Array, classes: Sequence[str], name: str) -> Self:
        mean, spread = mean_and_std(targets, name)
        return cls(name=name, mean=mean, std=spread)

    @classmethod
    def label_text(cls, target: Any, classes: Sequence[str]) -> str:
        return shortest(target)

    @classmethod
    def corrected(cls, text: str, classes: Sequence[str]) -> float:
        return cls.parse(text)

    def width(self, inputs: InputKind) -> int:
        return 1

    def output_shape(self, inputs: InputKind) -> tuple[int, ...]:
        return ()

    def problem(self, targets: Array) -> str:
        return "" if np.isfinite(targets).all() else "a target is not finite"

    def outputs_of(self, answers: Floats64) -> Floats64:
        return (answers - self.mean) / self.std

    def errors(self, outputs: Floats64, targets: Array) -> Floats64:
        return np.abs(outputs.reshape(-1, 1) * self.std + self.mean - targets.astype(np.float64)[:, None])

    @property
    def unit(self) -> float:
        return self.std

    def score(self, answers: Floats, targets: Array) -> dict[str, float | None]:
        return {"r2": rounded_single(float(r2(targets.astype(np.float64), answers.astype(np.float64))))}

    def doubts(self, answers: Floats, targets: Array) -> tuple[Floats64, list[str]]:
        off = np.abs(answers.astype(np.float64) - targets) / self.std
        return off, [f"{value:.5g}" for value in answers.tolist()]

    def shown(self, answer: Floats, top: int) -> str:
        return named_value(self.name, float(answer))

    @property
    def checked(self) -> str:
        return ", as a share of the target's standard deviation."
