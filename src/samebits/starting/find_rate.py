"""A learning rate, by a range test (Smith, 2017): it rises from step to step until the loss does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samebits.base.errors import UserError
from samebits.base.files import write_bytes
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.params.schema import parse_params, read_params
from samebits.starting.job import do_job, run_job
from samebits.starting.scratch_project import ScratchProject
from samebits.starting.steps import train_until
from samebits.starting.trial import prepare_all
from samebits.starting.written import write_params

if TYPE_CHECKING:
    from samebits.training.loop import Training

_STEPS = 100
_LOWEST, _HIGHEST = 1e-6, 10.0
_SMOOTHING = 0.9
_DIVERGED = 4.0
"""The test ends where the smoothed loss is so many times its lowest value."""

_MARGIN = 3.0
"""The rate that is proposed is so many times below the one with the lowest loss, which is about to diverge."""

_FALL = 0.02
"""A loss that fell by a smaller share has shown nothing."""


def find_rate(project: Project, say: Callable[[str], None], *, dry_run: bool) -> float:
    """Find a learning rate for the settings of params.yaml, draw the curve, and write the rate. Returns it.

    Raises:
        UserError: where no rate lowers the loss, or a stage cannot run.
    """
    values = read_params(project.params_file).dump()
    say(f"prepares the data, and trains up to {_STEPS} steps at rising rates, in a scratch folder …")
    found = run_job(project, "samebits.starting.find_rate", values, "the search")
    rates, losses = found["rates"], smoothed(found["losses"])
    rate = best_rate(rates, losses)
    picture = project.state / "find-lr.png"
    write_bytes(picture, _figure(rates, losses, rate))
    say(f"{len(rates)} steps, from {rates[0]:.1e} to {rates[-1]:.1e}; the curve: {picture.relative_to(project.home)}")
    say(f"train.optimizer.lr: {rate:g}, a third of the rate at which the loss was lowest")
    values["train"]["optimizer"]["lr"] = rate
    write_params(project, values, say, dry_run=dry_run)
    return rate


def rate_of(step: int) -> float:
    """The rate of a step, counted from 0: equal factors from `_LOWEST` to `_HIGHEST`."""
    return float(_LOWEST * (_HIGHEST / _LOWEST) ** (step / (_STEPS - 1)))


def smoothed(losses: Sequence[float]) -> list[float]:
    """Exponential moving average without the bias of its first values (as Adam's)."""
    means, mean = [], 0.0
    for count, loss in enumerate(losses, start=1):
        mean = _SMOOTHING * mean + (1.0 - _SMOOTHING) * loss
        means.append(mean / (1.0 - _SMOOTHING**count))
    return means


def best_rate(rates: Sequence[float], losses: Sequence[float]) -> float:
    """The rate to train with, to two digits.

    Args:
        losses: smoothed.

    Raises:
        UserError: if the loss did not fall.
    """
    if not losses or min(losses) > (1.0 - _FALL) * losses[0]:
        raise UserError(
            f"no learning rate from {_LOWEST:g} to {_HIGHEST:g} lowered the loss in {len(losses)} steps",
            "look at data.normalize, the labels and the model; nothing was written",
        )
    return float(f"{rates[losses.index(min(losses))] / _MARGIN:.1e}")


def _figure(rates: Sequence[float], losses: Sequence[float], rate: float) -> bytes:
    from samebits.evaluation.report.figures import BLUE, ORANGE, Canvas

    with Canvas(6.4, 3.6) as canvas:
        axes = canvas.axes()
        axes.plot(rates, losses, color=BLUE, linewidth=1.4)
        axes.axvline(rate, color=ORANGE, linestyle="--", label=f"proposed: {rate:g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed", title="Range test")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.legend(frameon=False)
        return canvas.png()


def range_test(workspace: Path, scratch: Path, values: Mapping[str, Any], stop: StopRequest) -> dict[str, Any]:
    """The job: rates, and the loss of the batch at each."""
    params = parse_params(values)
    project = ScratchProject(workspace, scratch)
    prepare_all(params, project, stop)
    training: Training | None = None

    def rising(built: Training) -> Training:
        nonlocal training
        peak = built.settings.optimizer.lr
        epochs = math.ceil(_STEPS / built.batches.steps_per_epoch)
        training = replace(
            built,
            settings=built.settings.model_copy(update={"epochs": epochs, "patience": None}),
            multiplier=lambda _, step, __: rate_of(step) / peak,
        )
        return training

    def diverged(training: Training) -> bool:
        seen = smoothed(training.state.losses[: training.state.step].tolist())
        return len(seen) >= _STEPS or seen[-1] > _DIVERGED * min(seen)

    try:
        train_until(params, project, stop, diverged, rising)
    except UserError:
        # A loss that is not finite ends the test as well: the rates before it are what was asked for.
        if training is None or not training.state.step:
            raise
    assert training is not None
    losses = training.state.losses[: training.state.step].tolist()
    return {"rates": [rate_of(step) for step in range(len(losses))], "losses": losses}


if __name__ == "__main__":
    raise SystemExit(do_job(range_test))
