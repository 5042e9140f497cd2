"""A few steps of a training, in this process: what trials and finders have in common."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from samebits.base.errors import Interrupted
from samebits.base.signals import StopRequest
from samebits.params.schema import Params
from samebits.starting.scratch_project import QuietContext, ScratchProject

if TYPE_CHECKING:
    from samebits.training.loop import Training


def train_until(
    params: Params,
    project: ScratchProject,
    stop: StopRequest,
    enough: Callable[[Training], bool],
    adapt: Callable[[Training], Training] = lambda training: training,
) -> Training:
    """Train from step 0 on the data that are prepared, to the end or until it is enough; nothing is recorded.

    Args:
        stop: ends it early.
        enough: asked after each step.
        adapt: is given the training at step 0, and gives the one to run.

    Raises:
        UserError: as the stage would raise it.
        Interrupted: if it was stopped by somebody else.
        OutOfMemory: a micro-batch did not fit.
    """
    from samebits.stage import sections_of
    from samebits.tracking.journal.tracker import NullTracker
    from samebits.training.loop import Observer
    from samebits.training.train import build_training, open_plan, train

    context = QuietContext("train", project, params.runtime, NullTracker(), stop)
    ended = False

    def progress(*_: object) -> None:
        nonlocal ended
        if enough(training):
            stop.requested = ended = True

    with open_plan(*(params.sections[name] for name in sections_of(train)), context=context) as (plan, micro, group):
        training = adapt(build_training(plan, context, micro, group))
        observer = Observer(lambda *_: None, progress, lambda: None, save_seconds=math.inf)
        try:
            with stop.deferred():
                training.run(observer, stop)
        except Interrupted:
            if not ended:
                raise
        if ended:
            stop.requested = False
    return training
