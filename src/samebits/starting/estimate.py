"""What `dvc repro` will take: seconds of each stage, memory and disk, from a few steps and a few samples."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from samebits.base.paths import Project
from samebits.base.result import Result
from samebits.base.signals import StopRequest
from samebits.params.schema import read_params
from samebits.starting.job import do_job, run_job
from samebits.starting.scratch_project import ScratchProject
from samebits.starting.smoke import small_stages
from samebits.starting.trial import TrialResult, duration, run_trial

_FEW, _MORE = 32, 160
"""Test samples of the two runs from which the time of evaluate and export is extended to all."""


class EstimateResult(BaseModel):
    """What the job measured.

    Attributes:
        trial: all of the data prepared, and a few training steps.
        first: seconds of evaluate and export on a few samples, with what is loaded once.
        per_sample: what each further test sample takes, seconds.
        peak_mib: the largest resident memory of the process so far.
        sizes: bytes of each output.
    """

    trial: TrialResult
    first: dict[str, float]
    per_sample: dict[str, float]
    peak_mib: int
    sizes: dict[str, int]

    def seconds(self, stage: str) -> float:
        """Of evaluate or export."""
        return self.first[stage] + self.per_sample[stage] * max(0, self.trial.counts["test"] - _FEW)


@dataclass(frozen=True)
class Estimate(Result):
    """What `dvc repro` will take, from what the job measured."""

    measured: EstimateResult

    @property
    def stages(self) -> dict[str, float]:
        """Seconds of each."""
        trial, found = self.measured.trial, self.measured
        return {
            "prepare": trial.prepare_s,
            "train": trial.train_s,
            "evaluate": found.seconds("evaluate"),
            "export": found.seconds("export"),
        }

    def lines(self) -> list[str]:
        trial, sizes = self.measured.trial, self.measured.sizes
        early = ", less if it stops early" if trial.patience else ""
        return [
            *(f"{name:<9} {duration(seconds)}" for name, seconds in self.stages.items()),
            f"{'together':<9} {duration(sum(self.stages.values()))}; training: {trial.epochs} epochs of "
            f"{trial.steps_per_epoch:,} steps{early}; {trial.timed} steps here took {1000 * trial.step_s:,.0f} ms each",
            f"{'memory':<9} {self.measured.peak_mib:,} MiB, the peak of this trial",
            f"{'disk':<9} {_mib(sum(sizes.values()))}: "
            f"{', '.join(f'{name} {_mib(each)}' for name, each in sizes.items())}; as much again in DVC's cache, where "
            "the disk cannot share blocks",
        ]

    def json(self) -> dict[str, Any]:
        trial = self.measured.trial
        return {
            "seconds": self.stages,
            "epochs": trial.epochs,
            "steps_per_epoch": trial.steps_per_epoch,
            "seconds_per_step": trial.step_s,
            "memory_mib": self.measured.peak_mib,
            "bytes": self.measured.sizes,
        }


def estimate(project: Project, say: Callable[[str], None]) -> Estimate:
    """What the settings of params.yaml will take on this machine.

    Raises:
        UserError: what keeps a stage from running.
    """
    values = read_params(project.params_file).dump()
    say("prepares all of the data, trains a few steps, evaluates and exports a few samples, in a scratch folder …")
    found = run_job(project, "samebits.starting.estimate", values, "it")
    return Estimate(EstimateResult.model_validate(found))


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def measure(workspace: Path, scratch: Path, values: Mapping[str, Any], stop: StopRequest) -> dict[str, Any]:
    """The job."""
    trial = run_trial(workspace, scratch / "whole", values, stop)
    runs = []
    # The first run loads what is loaded once; the slope is that of the others.
    for number, most in enumerate((_FEW, _FEW, _MORE)):
        folder = scratch / str(number)
        runs.append({stage: seconds for stage, seconds, _ in small_stages(workspace, folder, values, stop, most)})
    cold, few, more = runs
    extra = max(1, min(_MORE, trial.counts["test"]) - _FEW)
    judged = ("evaluate", "export")
    whole, small = ScratchProject(workspace, scratch / "whole"), ScratchProject(workspace, folder)
    return EstimateResult(
        trial=trial,
        first={stage: cold[stage] for stage in judged},
        per_sample={stage: max(0.0, more[stage] - few[stage]) / extra for stage in judged},
        peak_mib=_peak_mib(),
        sizes={
            "data/prepared": _bytes(whole.prepared),
            "models/checkpoint": _bytes(small.checkpoint),
            "models/export": _bytes(small.exported),
        },
    ).model_dump()


def _peak_mib() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> (20 if sys.platform == "darwin" else 10)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    raise SystemExit(do_job(measure))
