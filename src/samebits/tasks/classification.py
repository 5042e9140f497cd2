"""Classification: one of K classes, softmax cross entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from samebits.signature.signature import Signature
from samebits.tasks import Task
from samebits.tasks.class_weights import ClassWeights
from samebits.tasks.ensemble import flatten_ensemble

TARGET = "class"


class Settings(ClassWeights):
    """The `task` section for `name: classification`.

    Attributes:
        label_smoothing: share of the target spread evenly over all classes (Szegedy et al., 2016), in training only.
    """

    of_the_loss: ClassVar[tuple[str, ...]] = ("class_weights", "label_smoothing")

    name: Literal["classification"]
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)


@dataclass(frozen=True)
class Classification(Task):
    """Logits [N, K] against class indices [N], int64, or in training their shares [N, K], float32.

    Attributes:
        weights: of each class, in training; None weighs all alike.
    """

    label_smoothing: float
    weights: tuple[float, ...] | None = None

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        logits, targets = self.loss_inputs(outputs, targets)
        if self.weights is None:
            return functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        weight = torch.tensor(self.weights, device=logits.device)
        # Over the number of samples, not over the sum of their weights: micro-batches then add up to the batch.
        total = functional.cross_entropy(
            logits, targets, weight=weight, reduction="sum", label_smoothing=self.label_smoothing
        )
        return total / len(targets)

    def loss_inputs(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return flatten_ensemble(outputs.float(), targets, axes=2)

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        logits = outputs.float()
        return {
            "loss": functional.cross_entropy(logits, targets, reduction="sum"),
            "accuracy": (logits.argmax(dim=1) == targets).sum(),
        }

    def postprocess(self, outputs: Tensor) -> Tensor:
        return torch.softmax(outputs.float(), dim=1)


def build(settings: Settings, signature: Signature, class_counts: Sequence[int]) -> Classification:
    """The task; `class_counts` are asked for by balanced weights alone, and not known outside of training.

    Raises:
        UserError: if a weight is for no class.
    """
    return Classification(settings.label_smoothing, settings.of_classes(signature.classes, class_counts))
