"""Classification: one of K classes, softmax cross entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from samebits.params.section import Section
from samebits.signature import Signature
from samebits.tasks.members import each_member

TARGET = "class"


class Settings(Section):
    """The `task` section for `name: classification`.

    Attributes:
        label_smoothing: share of the target spread evenly over all classes (Szegedy et al., 2016), in training only.
    """

    name: Literal["classification"]
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)


@dataclass(frozen=True)
class Classification:
    """Logits [N, K] against class indices [N], int64."""

    label_smoothing: float

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        outputs, targets = each_member(outputs.float(), targets, axes=2)
        return functional.cross_entropy(outputs, targets, label_smoothing=self.label_smoothing)

    def measure(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        logits = outputs.float()
        return {
            "loss": functional.cross_entropy(logits, targets, reduction="sum"),
            "accuracy": (logits.argmax(dim=1) == targets).sum(),
        }

    def answer(self, outputs: Tensor) -> Tensor:
        return torch.softmax(outputs.float(), dim=1)


def build(settings: Settings, signature: Signature, class_counts: Sequence[int]) -> Classification:
    return Classification(settings.label_smoothing)
