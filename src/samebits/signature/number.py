"""A number."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from samebits.base.decimals import rounded_single
from samebits.metrics.scores import r2
from samebits.signature.kind import Array, Floats, InputKind, TargetKind


class NumberTarget(TargetKind):
    """A number; stored as float32, as it is. Models give (value - mean) / std, [N].

    Attributes:
        mean, std: over the training split.
    """

    kind: Literal["number"] = "number"
    name: str
    mean: float
    std: float = Field(gt=0.0)
    evaluator: ClassVar[str] = "regression"
    output_name: ClassVar[str] = "values"
    meaning: ClassVar[str] = "the predicted number, in the unit of the data"
    stored_dtype: ClassVar[str | None] = "<f4"
    scores: ClassVar[dict[str, str]] = {"r2": "R² | {:.4f}"}

    def width(self, inputs: InputKind) -> int:
        return 1

    def output_shape(self, inputs: InputKind) -> tuple[int, ...]:
        return ()

    def problem(self, targets: Array) -> str:
        return "" if np.isfinite(targets).all() else "a target is not finite"

    @property
    def unit(self) -> float:
        return self.std

    def score(self, answers: Floats, targets: Array) -> dict[str, float | None]:
        return {"r2": rounded_single(float(r2(targets.astype(np.float64), answers.astype(np.float64))))}

    @property
    def checked(self) -> str:
        return ", as a share of the target's standard deviation."
