"""What the page asks of a kind of inputs: the module of `samebits.demo` that has the name of its predictor has a class
`Form` that answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from samebits.inference.items import Item
from samebits.inference.predictor import Kind
from samebits.signature.kind import Array
from samebits.signature.signature import INPUTS

Effects = Sequence[float]


@dataclass(frozen=True)
class Variants:
    """A sample, and the same sample without one of its parts at a time.

    Attributes:
        samples: as the model takes them, [1 + n, ...]: the sample itself first.
        parts: of each part, its places in `samples`. Where it has several, their mean counts.
        told: from the effect of each part, for the page.
    """

    samples: Array
    parts: Sequence[Sequence[int]]
    told: Callable[[Effects], dict[str, Any]]


class Form(ABC):
    """How samples of one kind are entered, shown, and taken apart.

    Attributes:
        widget: the module of `static/` that lets a person enter one.
        method: for people, how parts are left out.
    """

    widget: ClassVar[str]
    method: ClassVar[str]

    def __init__(self, kind: Kind) -> None:
        self.kind, self.inputs = kind, kind.inputs

    @property
    @abstractmethod
    def described(self) -> str:
        """What the model takes, in a phrase."""

    @property
    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """What the widget needs to know."""

    @property
    def explains(self) -> bool:
        """Whether parts of a sample can be left out."""
        return True

    def picture(self, sample: Array) -> npt.NDArray[np.uint8] | None:
        """A sample as the model takes it, [1 or 3, H, W]; None of what is no picture."""
        return None

    def decode(self, tokens: list[int]) -> str:
        """Of texts, tokens as their text."""
        return ""

    @abstractmethod
    def variants(self, item: Item, sample: Array) -> Variants:
        """A sample without each of its parts.

        Args:
            sample: the same as the model takes it.
        """


def form_for(kind: Kind) -> Form:
    """The form of a model's inputs."""
    name = INPUTS[kind.inputs.get("kind", "image")].predictor
    form: Form = import_module(f"samebits.demo.{name}").Form(kind)
    return form
