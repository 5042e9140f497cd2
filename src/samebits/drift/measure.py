"""Statistics of single samples. Each kind of inputs answers in `drift/KIND.py`, in a class `Kind`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from samebits.signature.kind import Array, InputKind

_Inputs = TypeVar("_Inputs", bound=InputKind)
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Measure:
    """One statistic of some samples.

    Attributes:
        values: float32 [n], NaN where missing; of categories int64 [n], places in `names`.
        names: of the categories; empty for numbers.
    """

    values: npt.NDArray[Any]
    names: tuple[str, ...] = ()


def number(values: npt.NDArray[Any]) -> Measure:
    """A measure of numbers. As float32, so that the last bits of float64, which machines differ in, decide nothing."""
    return Measure(np.asarray(values, dtype=np.float32))


class Kind(ABC, Generic[_Inputs]):
    """Statistics of samples of one kind."""

    def __init__(self, inputs: _Inputs) -> None:
        self.inputs = inputs

    def token_counts(self, rows: Array) -> Counts:
        """How often each token is in rows, [vocabulary]; empty for what has no tokens."""
        return np.empty(0, dtype=np.int64)

    @abstractmethod
    def measure(self, rows: Array, token_counts: Sequence[int]) -> dict[str, Measure]:
        """The statistics of samples, by name.

        Args:
            rows: samples as they are stored or served, [n, ...].
            token_counts: of samples of the training split.
        """


def kind_of(inputs: InputKind) -> Kind[Any]:
    """The statistics of a kind of inputs."""
    found: Kind[Any] = import_module(f"samebits.drift.{inputs.kind}").Kind(inputs)  # type: ignore[attr-defined]
    return found
