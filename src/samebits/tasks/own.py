"""A task of one's own: a class in a file of the folder `custom`, see docs/own_code.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from samebits.base.errors import UserError
from samebits.base.own_code import build_own, name_of
from samebits.params.own import OwnFile, OwnName
from samebits.protocols import DerivesMetrics, Task
from samebits.signature.signature import TARGETS, Signature
from samebits.tasks.ensemble import flatten_ensemble
from samebits.tasks.own_loss import on_device, require_no_parameters, require_scalar
from samebits.tasks.own_section import TakesOwnMetrics

TARGET = tuple(kind for kind, target in TARGETS.items() if not target.generates)
_METHODS = ("count", "loss", "metric_sums", "postprocess")


class Settings(TakesOwnMetrics):
    """The `task` section for `name: own`.

    Attributes:
        file: the Python file, `custom/NAME.py`.
        class_name: the class in it, a `samebits.protocols.Task`. It is called with the data's signature and with
            `arguments`.
        arguments: keyword arguments of its `__init__`.
    """

    name: Literal["own"]
    file: OwnFile = "custom/task.py"
    class_name: OwnName = "OneAgainstRest"
    arguments: dict[str, Any] = Field(default={})


@dataclass(frozen=True)
class OwnTask(Task):
    """What a class of the user's says, of outputs in float32; members of an ensemble in training are samples to it.

    Attributes:
        name: of the class, for messages.
        axes: of the outputs of a model that is no ensemble.
    """

    own: Task
    name: str
    axes: int

    def count(self, targets: Tensor) -> int:
        return int(self.own.count(targets))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        on_device(self.own, outputs.device)
        return require_scalar(self.own.loss(*flatten_ensemble(outputs.float(), targets, self.axes)), self.name)

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        on_device(self.own, outputs.device)
        found = self.own.metric_sums(*flatten_ensemble(outputs.float(), targets, self.axes))
        return {name: torch.as_tensor(value, device=outputs.device) for name, value in found.items()}

    def derived_metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        return self.own.derived_metrics(means) if isinstance(self.own, DerivesMetrics) else {}

    def postprocess(self, outputs: Tensor) -> Tensor:
        on_device(self.own, outputs.device)
        single = outputs.ndim == self.axes
        return self.own.postprocess(outputs.float() if single else outputs.float().flatten(0, 1))  # [N, 1] is [N]


def build(settings: Settings, signature: Signature, class_counts: Sequence[int]) -> OwnTask:
    """The task that the file defines.

    Raises:
        UserError: if there is no such file or class, it fails, or lacks a method.
    """
    name = name_of(settings)
    own = build_own(settings, "task", signature, call="signature, ")
    if missing := [each for each in _METHODS if not callable(getattr(own, each, None))]:
        raise UserError(f"{name} has no {', '.join(missing)}", "write it as samebits.protocols.Task says")
    require_no_parameters(own, name)
    return OwnTask(own, name, 1 + len(signature.output_shape))
