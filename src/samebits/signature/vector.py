"""Several numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from samebits.base.decimals import printed, rounded_single
from samebits.base.errors import UserError
from samebits.metrics.scores import r2
from samebits.signature.kind import Array, Column, Floats, Floats64, InputKind
from samebits.signature.number import finite, mean_and_std, named_value, shortest
from samebits.signature.target_kind import TargetKind

_BETWEEN = re.compile(r"[;|\s]+")
_SHOWN = 8


class VectorTarget(TargetKind):
    """K numbers; stored as float32 [K], as they are. Models give (value - mean) / std, [N, K].

    Attributes:
        mean, std: of each over the training split.
        names: of each, where they have any.
    """

    kind: Literal["vector"] = "vector"
    name: str
    mean: list[float] = Field(min_length=1)
    std: list[float]
    names: list[str] | None = Field(default=None, exclude_if=lambda value: value is None)
    in_label_column: ClassVar[bool] = True
    evaluator: ClassVar[str] = "vector"
    output_name: ClassVar[str] = "values"
    meaning: ClassVar[str] = "the predicted numbers, in the units of the data"
    stored_dtype: ClassVar[str | None] = "<f4"
    scores: ClassVar[dict[str, str]] = {"r2": "mean R² | {:.4f}"}
    doubted: ClassVar[str] = "how far a number is from the model's, in its standard deviations; the largest of them"

    @model_validator(mode="after")
    def _of_each(self) -> Self:
        if self.names is not None and len(self.names) != len(self.mean):
            raise ValueError("there is not one name for each mean")
        if len(self.mean) != len(self.std) or min(self.std) <= 0.0:
            raise ValueError("there is not one standard deviation above 0 for each mean")
        return self

    @classmethod
    def parse(cls, text: str) -> tuple[float, ...]:
        """Numbers between `;`, `|` or blanks."""
        return cls.accept([cell for cell in _BETWEEN.split(text) if cell])

    @classmethod
    def accept(cls, value: Any) -> tuple[float, ...]:
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, np.ndarray):
            if value.ndim != 1:
                raise ValueError(f"its target has the shape {list(value.shape)}: give one axis")
            value = value.tolist()
        if not isinstance(value, list | tuple):
            raise ValueError(f"its target is of type {type(value).__name__}: give a list of numbers")
        if not value:
            raise ValueError("it has no number")
        return tuple(finite(str(number)) for number in value)

    @classmethod
    def gather(cls, values: Sequence[tuple[float, ...]]) -> tuple[Array, tuple[str, ...]]:
        lengths = Counter(map(len, values))
        if len(lengths) > 1:
            (most, _), (other, n), *_ = lengths.most_common()
            raise UserError(
                f"targets have {most} numbers, but {n:,} have {other}",
                "give the same number of numbers to every sample",
            )
        return np.array(values, dtype=np.float32), ()

    @classmethod
    def fit(cls, targets: Array, classes: Sequence[str], name: str) -> Self:
        found = [mean_and_std(column, f"{name}[{place}]") for place, column in enumerate(targets.T)]
        return cls(name=name, mean=[mean for mean, _ in found], std=[std for _, std in found])

    @classmethod
    def label_text(cls, target: Any, classes: Sequence[str]) -> str:
        return "; ".join(map(shortest, target))

    @classmethod
    def corrected(cls, text: str, classes: Sequence[str]) -> tuple[float, ...]:
        return cls.parse(text)

    @property
    def parts(self) -> list[str]:
        """A name for each number: its column's, or `label[0]`."""
        return list(self.names) if self.names else [f"{self.name}[{place}]" for place in range(len(self.mean))]

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return (len(self.mean),)

    def width(self, inputs: InputKind) -> int:
        return len(self.mean)

    def problem(self, targets: Array) -> str:
        return "" if np.isfinite(targets).all() else "a target is not finite"

    def in_manifest(self, targets: Array) -> list[Any]:
        return ["; ".join(f"{value:.9g}" for value in row) for row in targets.tolist()]

    def outputs_of(self, answers: Floats64) -> Floats64:
        standardised: Floats64 = (answers - np.array(self.mean)) / np.array(self.std)
        return standardised

    def errors(self, outputs: Floats64, targets: Array) -> Floats64:
        errors: Floats64 = np.abs(outputs * np.array(self.std) + np.array(self.mean) - targets.astype(np.float64))
        return errors

    @property
    def unit(self) -> Floats:
        return np.array(self.std, dtype=np.float32)

    def score(self, answers: Floats, targets: Array) -> dict[str, float | None]:
        of_each = r2(targets.T.astype(np.float64), answers.T.astype(np.float64))
        return {"r2": rounded_single(float(of_each.mean()))}

    def doubts(self, answers: Floats, targets: Array) -> tuple[Floats64, list[str]]:
        off = np.abs(answers.astype(np.float64) - targets) / np.array(self.std)
        return off.max(axis=1), ["; ".join(f"{value:.5g}" for value in row) for row in answers.tolist()]

    @property
    def answer_shape(self) -> tuple[int, ...]:
        return (len(self.mean),)

    def shown(self, answer: Floats, top: int) -> str:
        more = f" and {len(answer) - _SHOWN} more" if len(answer) > _SHOWN else ""
        if self.names:
            pairs = zip(self.names[:_SHOWN], answer.tolist(), strict=False)
            return ", ".join(named_value(name, value) for name, value in pairs) + more
        return f"{self.name} {', '.join(map(printed, answer[:_SHOWN].tolist()))}{more}"

    def columns(self, top: int = 1) -> dict[str, Column]:
        return dict.fromkeys(self.parts, "number")

    def cells(self, answers: Floats, top: int = 1) -> list[list[Any]]:
        found: list[list[Any]] = answers.T.tolist()
        return found

    @property
    def answer_layout(self) -> str:
        return f"[N, {len(self.mean)}]: {self.meaning}."

    @property
    def checked(self) -> str:
        return ", each as a share of its standard deviation."
