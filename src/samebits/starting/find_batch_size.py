"""A batch size, by the samples per second of a few steps at each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from samebits.base.errors import Interrupted, UserError
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.params.schema import Params, parse_params, read_params
from samebits.starting.job import do_job, run_job
from samebits.starting.scratch_project import QuietContext, ScratchProject
from samebits.starting.trial import prepare_all
from samebits.starting.written import write_params

_FIRST, _LAST = 8, 4096
_WARM = 2
_SECONDS = 2.0
"""Of training at each size."""

_NEAR_BEST = 0.95
"""The smallest size with this share of the highest speed is proposed: a larger one gives fewer updates for nothing."""


def find_batch_size(project: Project, say: Callable[[str], None], *, dry_run: bool) -> None:
    """Find a batch size for the settings of params.yaml, and write it.

    Raises:
        UserError: where not even one fits, or a stage cannot run.
    """
    values = read_params(project.params_file).dump()
    say("prepares the data, and trains a few steps at each size, in a scratch folder …")
    speeds = run_job(project, "samebits.starting.find_batch_size", values, "the search")["speeds"]
    for size, speed in speeds:
        say(f"  {size:>5} samples a batch: {speed:,.0f} samples/s")
    size = best_size(speeds)
    say(f"train.batch_size: {size}, the smallest within {1 - _NEAR_BEST:.0%} of the highest speed; find the rate next")
    values["train"] |= {"batch_size": size, "micro_batch_size": None, "elastic": False}
    write_params(project, values, say, dry_run=dry_run)


def best_size(speeds: list[tuple[int, float]]) -> int:
    """The smallest size that is about as fast as the fastest.

    Raises:
        UserError: if there is none.
    """
    if not speeds:
        raise UserError(f"a batch of {_FIRST} samples does not fit, or the training split has fewer", "take other data")
    enough = _NEAR_BEST * max(speed for _, speed in speeds)
    return next(size for size, speed in speeds if speed >= enough)


def measure(workspace: Path, scratch: Path, values: Mapping[str, Any], stop: StopRequest) -> dict[str, Any]:
    """The job: samples per second at each size that fits."""
    params = parse_params(values)
    project = ScratchProject(workspace, scratch)
    prepare_all(params, project, stop)
    return {"speeds": list(_speeds(values, project, stop))}


def _speeds(values: Mapping[str, Any], project: Project, stop: StopRequest) -> Iterator[tuple[int, float]]:
    from samebits.data.loading.prepared import read_info
    from samebits.training.loop import OutOfMemory

    most = min(_LAST, read_info(project.prepared).counts["train"])
    size = _FIRST
    while size <= most:
        train = values["train"] | {"batch_size": size, "micro_batch_size": None, "elastic": False}
        try:
            yield size, _speed(parse_params({**values, "train": train}), project, stop)
        except OutOfMemory:
            return
        size *= 2


def _speed(params: Params, project: Project, stop: StopRequest) -> float:
    from samebits.stage import sections_of
    from samebits.tracking.journal.tracker import NullTracker
    from samebits.training.loop import Observer
    from samebits.training.train import build_training, open_plan, train

    context = QuietContext("train", project, params.runtime, NullTracker(), stop)
    times: list[float] = []
    ended = False

    def progress(step: int, loss: float | None, samples: int) -> None:
        nonlocal ended
        times.append(time.perf_counter())
        if len(times) > _WARM + 1 and times[-1] - times[0] > _SECONDS:
            stop.requested = ended = True

    with open_plan(*(params.sections[name] for name in sections_of(train)), context=context) as (plan, micro, group):
        training = build_training(plan, context, micro, group)
        observer = Observer(lambda *_: None, progress, lambda: None, save_seconds=math.inf)
        with suppress(Interrupted), stop.deferred():
            training.run(observer, stop)
    if stop.requested and not ended:
        raise Interrupted("the search was stopped")
    stop.requested = False
    # Validations are left out by the median: there is one an epoch.
    steps = sorted(after - before for before, after in zip(times[_WARM - 1 :], times[_WARM:], strict=False))
    return micro / steps[len(steps) // 2] if steps else 0.0


if __name__ == "__main__":
    raise SystemExit(do_job(measure))
