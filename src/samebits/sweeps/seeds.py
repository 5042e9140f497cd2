"""`samebits seeds N`: one setting with N seeds, as a sweep over `seed` that ranks nothing.

The seed decides the first weights, the order of the samples, augmentation and dropout. It decides nothing about the
data: the split is a function of the data and `data.*`, so every seed is judged by the same test samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.params.schema import parse_params
from samebits.params.yaml_file import read_yaml
from samebits.sweeps.runner import code_fingerprint, run_sweep
from samebits.sweeps.seeds_report import SEEDS
from samebits.sweeps.space import Dimension, Range
from samebits.sweeps.spec import NAME, Sweep, SweepFile, stages_up_to
from samebits.sweeps.study import trial_name
from samebits.tracking.journal.experiments import dvc_experiments

FEWEST, MOST = 2, 1000
_TARGET = "evaluate"


def seeds_sweep(project: Project, count: int, name: str | None = None) -> Sweep:
    """The sweep over seeds 0 to `count` - 1 of params.yaml as it is now.

    Its identity does not depend on `count`, so that more seeds go on with the ones that are there.

    Args:
        name: of the study; else `seeds-` and eight digits of a hash of the other parameters and the code, so that each
            setting has its own.

    Raises:
        UserError: if the count, the name, params.yaml or the pipeline does not do.
    """
    if not FEWEST <= count <= MOST:
        raise UserError(
            f"the number of seeds is {count}",
            f"take {FEWEST} to {MOST:,}: one shows no spread, 5 are usual",
        )
    if name is not None and not NAME.fullmatch(name):
        raise UserError(f"--name {name}: letters, digits, - and _, at most 61", "give it another name")
    base = read_yaml(project.params_file)
    parse_params(base, project.params_file.name)
    problems: list[str] = []
    stages = stages_up_to(project, _TARGET, problems)
    if problems:
        raise UserError(f"dvc.yaml has no stage {_TARGET}, whose numbers are to be compared", "restore it")
    every = Range(low=0, high=MOST - 1, step=1)
    file = SweepFile(method="grid", space={"seed": every.model_dump()}, trials=count, target=_TARGET)
    sweep = Sweep(name or "", file, [Dimension("seed", range=every, whole=True)], base, stages)
    return sweep if name else replace(sweep, name=f"seeds-{code_fingerprint(project, sweep)[:8]}")


def plan_seeds(project: Project, sweep: Sweep, jobs: int) -> str:
    """What would run, for `--dry-run`."""
    present = {each.name for each in dvc_experiments(project.home)}
    names = [trial_name(sweep.name, seed) for seed in range(sweep.budget)]
    done = sum(name in present for name in names)
    return (
        f"{sweep.name}: seeds 0 to {sweep.budget - 1}, {jobs} at a time, each runs {', '.join(sweep.stages)}\n"
        f"  {done} of them {'is' if done == 1 else 'are'} there: experiments {names[0]} to {names[-1]}\n"
        "  the same in all: data, split, parameters other than seed, code"
    )


def run_seeds(
    project: Project,
    count: int,
    *,
    name: str | None = None,
    jobs: int = 1,
    take_over: bool = False,
    dry_run: bool = False,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Run the seeds that are not there yet, then print each with the mean, its spread and interval.

    Returns the study's name, and after a run what came of it, for programs (`seeds_report.for_programs`).

    Raises:
        UserError, KeyboardInterrupt: see `run_sweep` and `seeds_sweep`.
    """
    sweep = seeds_sweep(project, count, name)
    if dry_run:
        say(plan_seeds(project, sweep, jobs))
        return {"name": sweep.name}
    found = run_sweep(project, sweep, jobs=jobs, take_over=take_over, say=say, report=SEEDS)
    return {"name": sweep.name, **found}
