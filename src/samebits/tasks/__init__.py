"""Tasks: what is learnt. A task turns a batch into a loss and outputs into metrics; the loop is blind to it.

A task file defines `Settings` (the `task` section) and `build(settings, classes) -> Task`. To add one: write the
file, add its line to `TASKS`.
"""

from __future__ import annotations

from typing import Protocol, cast

from torch import Tensor

from samebits.params.section import Section
from samebits.registry import load_module

TASKS = {
    "classification": "samebits.tasks.classification",
}


class Task(Protocol):
    """What the training loop asks of a task.

    `loss` is what is minimised; `measure` gives sums over a batch, so that a mean over any number of batches and
    processes is the sum of sums over the sum of counts.
    """

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The training objective, the mean over the batch, as a scalar tensor."""
        ...

    def measure(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Sums over the batch of each metric, `loss` among them, as scalar tensors."""
        ...


def build_task(settings: Section) -> Task:
    """The task that a `task` section describes."""
    module = load_module("task", str(getattr(settings, "name", "")), TASKS)
    return cast(Task, module.build(settings))
