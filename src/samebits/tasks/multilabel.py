"""Multi-label classification: any number of K classes, one sigmoid each, binary cross entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from samebits.signature.signature import Signature
from samebits.tasks import Task
from samebits.tasks.class_weights import ClassWeights
from samebits.tasks.ensemble import flatten_ensemble

TARGET = "labels"


class Settings(ClassWeights):
    """The `task` section for `name: multilabel`."""

    name: Literal["multilabel"]


@dataclass(frozen=True)
class MultiLabel(Task):
    """Logits [N, K] (of an ensemble in training, [N, members, K]) against labels [N, K], uint8.

    Attributes:
        weights: of each label, in training; None weighs all alike.
    """

    weights: tuple[float, ...] | None = None

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        logits, targets = self.loss_inputs(outputs, targets)
        weight = None if self.weights is None else torch.tensor(self.weights, device=logits.device)
        return functional.binary_cross_entropy_with_logits(logits, targets, weight=weight)

    def loss_inputs(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return flatten_ensemble(outputs.float(), targets.float(), axes=2)

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        logits, targets = outputs.float(), targets.float()
        losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        right = ((logits > 0) == (targets > 0)).float()
        return {"loss": losses.mean(dim=1).sum(), "label_accuracy": right.mean(dim=1).sum()}

    def postprocess(self, outputs: Tensor) -> Tensor:
        return torch.sigmoid(outputs.float())


def build(settings: Settings, signature: Signature, class_counts: Sequence[int]) -> MultiLabel:
    """The task; `class_counts` are asked for by balanced weights alone, and not known outside of training.

    Raises:
        UserError: if a weight is for no label.
    """
    return MultiLabel(settings.of_classes(signature.classes, class_counts))
