"""Regression: numbers, learnt in units of the training split's standard deviation, answered in their own unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from samebits.signature.number import NumberTarget
from samebits.signature.signature import Signature
from samebits.signature.vector import VectorTarget
from samebits.tasks import Task
from samebits.tasks.ensemble import flatten_ensemble
from samebits.tasks.own_section import TakesOwnLoss, TakesOwnMetrics

TARGET = ("number", "vector")


class Settings(TakesOwnLoss, TakesOwnMetrics):
    """The `task` section for `name: regression`.

    Attributes:
        loss: `mse` (the squared error), `mae` (the absolute one) or `huber` (squared up to `delta`, absolute beyond).
        delta: where huber turns, in standard deviations of the target.
    """

    of_the_loss: ClassVar[tuple[str, ...]] = ("loss", "delta")

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
        return _losses(self.settings, *self.loss_inputs(outputs, targets)).mean()

    def loss_inputs(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return flatten_ensemble(outputs.float(), self._standardised(targets), axes=1)

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        outputs, standardised = outputs.float().flatten(), self._standardised(targets)
        # Squares of numbers in the millions, summed: fp32 would lose digits.
        wrong = (outputs - standardised).double() * self.std
        return {
            "loss": _losses(self.settings, outputs, standardised).sum(),
            "mae": wrong.abs().sum(),
            "mse": wrong.square().sum(),
        }

    def postprocess(self, outputs: Tensor) -> Tensor:
        return outputs.float().flatten() * self.std + self.mean

    def _standardised(self, targets: Tensor) -> Tensor:
        return (targets.float() - self.mean) / self.std


@dataclass(frozen=True)
class VectorRegression(Task):
    """Standardised outputs [N, K] (of an ensemble in training, [N, members, K]) against targets [N, K], in their own
    units.

    `metric_sums` gives, beside the loss, `mae` and `mse` in standard deviations (squared): units may differ.
    """

    settings: Settings
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return _losses(self.settings, *self.loss_inputs(outputs, targets)).mean()

    def loss_inputs(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return flatten_ensemble(outputs.float(), self._standardised(targets), axes=2)

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        outputs, standardised = outputs.float(), self._standardised(targets)
        wrong = (outputs - standardised).double()
        return {
            "loss": _losses(self.settings, outputs, standardised).mean(dim=1).sum(),
            "mae": wrong.abs().mean(dim=1).sum(),
            "mse": wrong.square().mean(dim=1).sum(),
        }

    def postprocess(self, outputs: Tensor) -> Tensor:
        mean, std = (torch.tensor(values, device=outputs.device) for values in (self.mean, self.std))
        return outputs.float() * std + mean

    def _standardised(self, targets: Tensor) -> Tensor:
        mean, std = (torch.tensor(values, device=targets.device) for values in (self.mean, self.std))
        return (targets.float() - mean) / std


def _losses(settings: Settings, outputs: Tensor, targets: Tensor) -> Tensor:
    """Of each number."""
    if settings.loss == "mse":
        return functional.mse_loss(outputs, targets, reduction="none")
    if settings.loss == "mae":
        return functional.l1_loss(outputs, targets, reduction="none")
    return functional.huber_loss(outputs, targets, reduction="none", delta=settings.delta)


def build(settings: Settings, signature: Signature, class_counts: Sequence[int]) -> Regression | VectorRegression:
    target = signature.target
    if isinstance(target, VectorTarget):
        return VectorRegression(settings, tuple(target.mean), tuple(target.std))
    assert isinstance(target, NumberTarget)
    return Regression(settings, target.mean, target.std)
