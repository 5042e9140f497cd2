"""A loss of the user's own, or of torch.nn, in the place of a task's: `loss = criterion(model(x), y)`.

The task keeps its metrics and its answers; `val/loss` is the user's loss, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from samebits.base.errors import UserError
from samebits.base.own_code import build_own, name_of
from samebits.params.own import OwnLoss
from samebits.protocols import DerivesMetrics, Task

_REPLACED = "_loss_of_the_task"


class TakesALoss(Task, Protocol):
    """A task whose loss can be replaced."""

    def loss_inputs(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What a loss as those of torch.nn gets."""
        ...


@dataclass(frozen=True)
class WithOwnLoss(Task):
    """A task with another loss.

    Attributes:
        name: of the loss, for messages.
        batchwise: the loss is no mean over what `count` counts.
    """

    task: TakesALoss
    criterion: Callable[[Tensor, Tensor], Tensor]
    name: str
    batchwise: bool = False

    def count(self, targets: Tensor) -> int:
        return self.task.count(targets)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if not self.task.count(targets):
            return outputs.sum() * 0.0  # the mean of nothing is NaN in torch.nn
        given = self.task.loss_inputs(outputs, targets)
        on_device(self.criterion, outputs.device)
        return require_scalar(self.criterion(*given), self.name)

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        sums = self.task.metric_sums(outputs, targets)
        own = self.loss(outputs, targets).double() * self.task.count(targets)
        return {**sums, _REPLACED: sums["loss"], "loss": own}

    def derived_metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        if not isinstance(self.task, DerivesMetrics):
            return {}
        return self.task.derived_metrics({**means, "loss": means[_REPLACED]})

    def postprocess(self, outputs: Tensor) -> Tensor:
        return self.task.postprocess(outputs)


def with_own_loss(task: TakesALoss, part: OwnLoss) -> WithOwnLoss:
    """The task with the loss that `task.own_loss` names.

    Raises:
        UserError: if it cannot be built, or has parameters.
    """
    criterion, name = build_own(part, "task.own_loss"), name_of(part)
    require_no_parameters(criterion, name)
    return WithOwnLoss(task, criterion, name, part.batchwise)


def require_no_parameters(built: object, name: str) -> None:
    """Refuse what would have to be trained and saved, too: only the model is."""
    if isinstance(built, nn.Module) and (found := [each for each, _ in built.named_parameters()]):
        raise UserError(
            f"{name} has parameters of its own ({', '.join(found)}), which no optimizer trains and no checkpoint keeps",
            "give them to the model (model.name: own), or keep constants in buffers (register_buffer)",
        )


def on_device(built: object, device: torch.device) -> None:
    """Move the buffers of a module, such as class weights, to where the outputs are."""
    if isinstance(built, nn.Module):
        built.to(device)


def require_scalar(found: object, name: str) -> Tensor:
    """Refuse a loss that is no single number."""
    if not isinstance(found, Tensor):
        raise UserError(f"{name} gives {type(found).__name__} as the loss", "give a scalar tensor")
    if found.ndim:
        raise UserError(
            f"{name} gives a loss of shape {list(found.shape)}", "give a scalar: the mean (reduction='mean')"
        )
    return found
