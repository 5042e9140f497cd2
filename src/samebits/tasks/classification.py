"""Classification: one of K classes, softmax cross entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional

from samebits.base.errors import UserError
from samebits.base.registry import nearest
from samebits.params.section import Section
from samebits.signature.signature import Signature
from samebits.tasks.ensemble import flatten_ensemble

TARGET = "class"


class Settings(Section):
    """The `task` section for `name: classification`.

    Attributes:
        label_smoothing: share of the target spread evenly over all classes (Szegedy et al., 2016), in training only.
        class_weights: how much a sample of each class counts in training: `none` (alike), `balanced` (the less, the
            more samples its class has; 1 on average), or a mapping of class names to weights, 1 where left out; a name
            such as 0 or true in quotes, since DVC stops at a mix of numbers and texts.
    """

    name: Literal["classification"]
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0.0)]] = "none"

    @field_validator("class_weights", mode="before")
    @classmethod
    def _names_of_classes(cls, value: object) -> object:
        """YAML reads `0: 1.0` as a number, but the class is called "0"."""
        if not isinstance(value, dict):
            return value
        numbers = {name: f"{name:.15g}" for name in value if isinstance(name, int | float)}
        return {str(name).lower() if isinstance(name, bool) else numbers.get(name, name): value[name] for name in value}


@dataclass(frozen=True)
class Classification:
    """Logits [N, K] against class indices [N], int64, or in training their shares [N, K], float32.

    Attributes:
        weights: of each class, in training; None weighs all alike.
    """

    label_smoothing: float
    weights: tuple[float, ...] | None = None

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        logits, targets = flatten_ensemble(outputs.float(), targets, axes=2)
        if self.weights is None:
            return functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        weight = torch.tensor(self.weights, device=logits.device)
        # Over the number of samples, not over the sum of their weights: micro-batches then add up to the batch.
        total = functional.cross_entropy(
            logits, targets, weight=weight, reduction="sum", label_smoothing=self.label_smoothing
        )
        return total / len(targets)

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
    return Classification(settings.label_smoothing, _weights(settings, signature.classes, class_counts))


def _weights(settings: Settings, classes: Sequence[str], counts: Sequence[int]) -> tuple[float, ...] | None:
    given = settings.class_weights
    if isinstance(given, dict):
        unknown = sorted(set(given) - set(classes))
        if unknown:
            near = nearest(unknown[0], list(classes))
            raise UserError(
                f"task.class_weights names {', '.join(unknown)}, which is no class of the data",
                f"{f'did you mean {near}? ' if near else ''}the classes: {', '.join(classes)}",
            )
        return tuple(given.get(name, 1.0) for name in classes)
    if given == "none" or not counts:
        return None
    return tuple(sum(counts) / (len(counts) * max(1, count)) for count in counts)
