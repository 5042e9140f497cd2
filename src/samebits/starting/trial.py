"""A trial of proposed parameters: `prepare` and a few training steps in a scratch folder, timed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from samebits.base.signals import StopRequest
from samebits.params.schema import Params, parse_params
from samebits.pipeline.context import StageContext
from samebits.starting.job import do_job
from samebits.starting.scratch_project import QuietContext, ScratchProject
from samebits.starting.steps import train_until
from samebits.tracking.journal.tracker import NullTracker

if TYPE_CHECKING:
    from samebits.training.loop import Training

_WARM = 2
"""First steps, which are slower than the rest."""

_SECONDS = 8.0
_STEPS = 40


class TrialResult(BaseModel):
    """What a trial found.

    Attributes:
        lines: what `prepare` said.
        counts: samples of each split.
        classes: training samples of each class, by name; empty without classes.
        counted: what these are: samples, pixels, words.
        spread: standard deviation of a number to predict; None for other targets.
        prepare_s: seconds of prepare.
        step_s: seconds of a training step, mean of `timed` ones.
        validation_s: seconds of a validation.
        steps_per_epoch, epochs: of the training that is proposed.
        patience: epochs without a better validation loss after which it stops; None: never.
    """

    lines: list[str]
    counts: dict[str, int]
    classes: dict[str, int]
    counted: str = "samples"
    spread: float | None
    prepare_s: float
    step_s: float
    timed: int
    validation_s: float
    steps_per_epoch: int
    epochs: int
    patience: int | None

    @property
    def train_s(self) -> float:
        """Seconds of the whole training, if it does not stop early."""
        return self.epochs * (self.steps_per_epoch * self.step_s + self.validation_s)


def run_trial(workspace: Path, scratch: Path, values: Mapping[str, Any], stop: StopRequest) -> TrialResult:
    """Prepare the data and train a few steps.

    Args:
        values: all of params.yaml, plain.
        stop: ends it early.

    Raises:
        UserError: as the stages would raise it.
        Interrupted: if it was stopped.
    """
    params = parse_params(values)
    project = ScratchProject(workspace, scratch)
    said, seconds = prepare_all(params, project, stop)
    return timed_training(params, project, said, seconds)


def prepare_all(params: Params, project: ScratchProject, stop: StopRequest) -> tuple[StageContext, float]:
    """Prepare the data in a scratch folder; what the stage said, and its seconds.

    Raises:
        UserError: as the stage would raise it.
    """
    quiet = QuietContext("prepare", project, params.runtime, NullTracker(), stop)
    began = time.monotonic()
    from samebits.data.preparation.prepare import prepare

    prepare(params.sections["data"], context=quiet)
    return quiet, time.monotonic() - began


def timed_training(params: Params, project: ScratchProject, said: StageContext, prepare_s: float) -> TrialResult:
    """Train a few steps on the data that `prepare_all` left.

    Raises:
        UserError: as the stage would raise it.
        Interrupted: if it was stopped.
    """
    from samebits.data.loading.prepared import read_info
    from samebits.training.validation import validate

    times: list[float] = []
    validation_s = 0.0

    def enough(_: Training) -> bool:
        times.append(time.monotonic())
        return len(times) > _WARM + 1 and (len(times) > _WARM + _STEPS or times[-1] - times[_WARM] > _SECONDS)

    def validated(training: Training) -> Training:
        nonlocal validation_s
        began = time.monotonic()
        validate(training)
        validation_s = time.monotonic() - began
        return training

    training = train_until(params, project, said.stop, enough, validated)
    info = read_info(project.prepared)
    per_epoch = training.batches.steps_per_epoch
    step_s, timed = mean_step(times, per_epoch)
    classes = getattr(info.signature.target, "classes", None) or ()
    return TrialResult(
        lines=said.log,
        counts=info.counts,
        classes=dict(zip(classes, info.class_counts.get("train", ()), strict=False)),
        counted=info.signature.target.counted,
        spread=getattr(info.signature.target, "std", None),
        prepare_s=prepare_s,
        step_s=step_s,
        timed=timed,
        validation_s=validation_s if per_epoch > 1 else 0.0,  # then each step has one in it
        steps_per_epoch=per_epoch,
        epochs=training.settings.epochs,
        patience=training.settings.patience,
    )


def mean_step(times: Sequence[float], per_epoch: int) -> tuple[float, int]:
    """Seconds of a step, and over how many that is the mean: those after the first ones in which no validation is.

    Args:
        times: when each step ended, seconds; from the first step on.
        per_epoch: steps; after the last of an epoch comes a validation.
    """
    steps = {number: end - begin for number, (begin, end) in enumerate(itertools.pairwise(times), start=2)}
    plain = {number: seconds for number, seconds in steps.items() if number % per_epoch} or steps
    chosen = [seconds for number, seconds in plain.items() if number > _WARM] or list(plain.values())
    return sum(chosen) / max(1, len(chosen)), len(chosen)


def duration(seconds: float) -> str:
    """For people: `51 s`, `12 min`, `3.4 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _job(workspace: Path, scratch: Path, values: Mapping[str, Any], stop: StopRequest) -> dict[str, Any]:
    return run_trial(workspace, scratch, values, stop).model_dump()


if __name__ == "__main__":
    raise SystemExit(do_job(_job))
