"""Tasks: what is learnt. A task turns a batch into a loss and outputs into metrics; the loop is blind to it.

A task file defines `Settings` (the `task` section), `TARGET` (the kind of target it learns, or several) and
`build(settings, signature, class_counts) -> Task`. To add one: write the file, add its
name to `TASKS` in `params/choices.py`. A loss of the user's own takes the place of the task's where `Settings` is a
`TakesOwnLoss` and the task has `loss_inputs` (`own_loss.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from samebits.base.errors import UserError
from samebits.base.registry import load_module
from samebits.params.choices import TASKS
from samebits.params.section import Section
from samebits.protocols import DerivesMetrics as DerivesMetrics
from samebits.protocols import Task as Task
from samebits.signature.signature import Signature
from samebits.tasks.own_loss import TakesALoss, with_own_loss
from samebits.tasks.own_section import TakesOwnLoss


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
        fitting = [each for each in sorted(TASKS) if each != "own" and signature.target.kind in _learnt(each)]
        raise UserError(
            f"task.name is {name}, which learns a {' or a '.join(_learnt(name))}; the target of the data is a "
            f"{signature.target.kind}",
            f"set task.name to {' or '.join(fitting)}, or data.source to other data",
        )
    return cast(Task, module.build(settings, signature, class_counts))


def build_training_task(settings: Section, signature: Signature, class_counts: Sequence[int]) -> Task:
    """`build_task` with the loss of the user's own, if there is one; nothing else needs it."""
    task = build_task(settings, signature, class_counts)
    if isinstance(settings, TakesOwnLoss) and settings.own_loss is not None:
        return with_own_loss(cast(TakesALoss, task), settings.own_loss)
    return task


def _learnt(name: str) -> tuple[str, ...]:
    """The kinds of target that a task learns."""
    found = load_module("task", name, TASKS).TARGET
    return (found,) if isinstance(found, str) else tuple(found)
