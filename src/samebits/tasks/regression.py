"""Regression: a number, learnt in units of the training split's standard deviation, answered in its own unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from samebits.params.section import Section
from samebits.signature.number import NumberTarget
from samebits.signature.signature import Signature
from samebits.tasks import Task
from samebits.tasks.ensemble import flatten_ensemble

TARGET = "number"


class Settings(Section):
    """The `task` section for `name: regression`.

    Attributes:
        loss: `mse` (the squared error), `mae` (the absolute one) or `huber` (squared up to `delta`, absolute beyond).
        delta: where huber turns, in standard deviations of the target.
    """

    name: Literal["regression"]
    loss: Literal["mse", "mae", "huber"] = "mse"
    delta: float = Field(default=1.0, gt=0.0)


@dataclass(frozen=True)
class Regression(Task):
    """Standardised outputs [N] or [N, 1] (of an ensemble in training, [N, members]) against targets [N], in their own
    unit.

    `metric_sums` gives, beside the loss, `mae` and `mse` in the target's own unit (squared), so that over any split
    R² = 1 - mse / variance of the targets.
    """

    settings: Settings
    mean: float
    std: float

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        outputs, targets = flatten_ensemble(outputs.float(), self._standardised(targets), axes=1)
        return self._losses(outputs, targets).mean()

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        outputs, standardised = outputs.float().flatten(), self._standardised(targets)
        # Squares of numbers in the millions, summed: fp32 would lose digits.
        wrong = (outputs - standardised).double() * self.std
        return {
            "loss": self._losses(outputs, standardised).sum(),
            "mae": wrong.abs().sum(),
            "mse": wrong.square().sum(),
        }

    def postprocess(self, outputs: Tensor) -> Tensor:
        return outputs.float().flatten() * self.std + self.mean

    def _standardised(self, targets: Tensor) -> Tensor:
        return (targets.float() - self.mean) / self.std

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.settings.loss == "mse":
            return functional.mse_loss(outputs, targets, reduction="none")
        if self.settings.loss == "mae":
            return functional.l1_loss(outputs, targets, reduction="none")
        return functional.huber_loss(outputs, targets, reduction="none", delta=self.settings.delta)


def build(settings: Settings, signature: Signature, class_counts: Sequence[int]) -> Regression:
    target = signature.target
    assert isinstance(target, NumberTarget)
    return Regression(settings, target.mean, target.std)
