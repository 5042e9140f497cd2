"""Tasks: what is learnt. A task turns a batch into a loss and outputs into metrics; the loop is blind to it.

A task file defines `Settings` (the `task` section), `TARGET` (the kind of target it learns, or several) and
`build(settings, signature, class_counts) -> Task`. To add one: write the file, add its
name to `TASKS` in `params/choices.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast, runtime_checkable

from torch import Tensor

from samebits.base.errors import UserError
from samebits.base.registry import load_module
from samebits.params.choices import TASKS
from samebits.params.section import Section
from samebits.signature.signature import Signature


class Task(Protocol):
    """The interface of a task for the training loop, evaluation and export.

    `loss` is what is minimised, a mean over what `count` counts; `metric_sums` gives sums over it. So the loss of
    several parts of a batch, and a mean over any number of batches and processes, are those of the whole.
    """

    def count(self, targets: Tensor) -> int:
        """What `loss` is a mean over, and `metric_sums` sums over: samples, or the valid positions in them. Where there
        are none, both are 0."""
        return len(targets)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The training objective, the mean over the batch, as a scalar tensor."""
        ...

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Sums over a batch of each metric, `loss` among them, as scalar tensors."""
        ...

    def postprocess(self, outputs: Tensor) -> Tensor:
        """Turn model outputs into predictions, float32: probabilities, or numbers in their own unit."""
        ...


@runtime_checkable
class DerivesMetrics(Protocol):
    """A task some of whose metrics are functions of the means of others, as the perplexity is of the loss."""

    def derived_metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """More metrics, from the means of those that `metric_sums` sums; one whose name begins with `_` is for these
        alone."""
        ...


def build_task(settings: Section, signature: Signature, class_counts: Sequence[int] = ()) -> Task:
    """The task that a `task` section describes.

    Args:
        class_counts: training samples of each class, where something is weighted by them.

    Raises:
        UserError: if the data have another kind of target.
    """
    name = str(getattr(settings, "name", ""))
    module = load_module("task", name, TASKS)
    if signature.target.kind not in _learnt(name):
        fitting = [each for each in sorted(TASKS) if signature.target.kind in _learnt(each)]
        raise UserError(
            f"task.name is {name}, which learns a {' or a '.join(_learnt(name))}; the target of the data is a "
            f"{signature.target.kind}",
            f"set task.name to {' or '.join(fitting)}, or data.source to other data",
        )
    return cast(Task, module.build(settings, signature, class_counts))


def _learnt(name: str) -> tuple[str, ...]:
    """The kinds of target that a task learns."""
    found = load_module("task", name, TASKS).TARGET
    return (found,) if isinstance(found, str) else tuple(found)
