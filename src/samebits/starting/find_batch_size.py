"""A batch size, by the samples per second of a few steps at each."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.params.schema import Params, parse_params, read_params
from samebits.starting.job import do_job, run_job
from samebits.starting.scratch_project import ScratchProject
from samebits.starting.steps import train_until
from samebits.starting.trial import prepare_all
from samebits.starting.written import write_params

if TYPE_CHECKING:
    from samebits.training.loop import Training

_FIRST, _LAST = 8, 4096
_WARM = 2
_SECONDS = 2.0
"""Of training at each size."""

_NEAR_BEST = 0.95
"""The smallest size with this share of the highest speed is proposed: a larger one gives fewer updates for nothing."""


def find_batch_size(project: Project, say: Callable[[str], None], *, dry_run: bool) -> int:
    """Find a batch size for the settings of params.yaml, and write it. Returns it.

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
    values["train"] |= {"batch_size": size, "micro_batch_size": None, "elastic": False, "shard": False}
    write_params(project, values, say, dry_run=dry_run)
    return size


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


def _speeds(values: Mapping[str, Any], project: ScratchProject, stop: StopRequest) -> Iterator[tuple[int, float]]:
    from samebits.data.loading.prepared import read_info
    from samebits.training.loop import OutOfMemory

    most = min(_LAST, read_info(project.prepared).counts["train"])
    size = _FIRST
    while size <= most:
        train = values["train"] | {"batch_size": size, "micro_batch_size": None, "elastic": False, "shard": False}
        try:
            yield size, _speed(parse_params({**values, "train": train}), project, stop)
        except OutOfMemory:
            return
        size *= 2


def _speed(params: Params, project: ScratchProject, stop: StopRequest) -> float:
    times: list[float] = []

    def enough(_: Training) -> bool:
        times.append(time.perf_counter())
        return len(times) > _WARM + 1 and times[-1] - times[0] > _SECONDS

    training = train_until(params, project, stop, enough)
    # Validations are left out by the median: there is one an epoch.
    steps = sorted(after - before for before, after in itertools.pairwise(times[_WARM - 1 :]))
    return training.settings.batch_size / steps[len(steps) // 2] if steps else 0.0


if __name__ == "__main__":
    raise SystemExit(do_job(measure))
