"""The commands that choose among trainings for `samebits`: sweep, register."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from samebits.base.result import Result, Said
from samebits.cli.options import positive, project_here, say


def _sweep(arguments: argparse.Namespace) -> Result:
    from samebits.sweeps.spec import read_sweep

    project = project_here()
    sweep = read_sweep(project, Path(arguments.file))
    file = sweep.file
    said = Said(found={"name": sweep.name, "budget": sweep.budget, "metric": file.metric, "goal": file.goal})
    if arguments.dry_run:
        from samebits.sweeps.plan import plan

        said.noting(say)(plan(sweep, arguments.jobs))
        return said
    from samebits.sweeps.runner import run_sweep

    found = run_sweep(project, sweep, jobs=arguments.jobs, take_over=arguments.take_over, say=said.noting(say))
    said.found = {**said.found, **found}
    return said


def _register(arguments: argparse.Namespace) -> Result:
    from samebits.model_registry.gate import Limits
    from samebits.model_registry.register import mlflow_errors, register, rollback

    project, said = project_here(), Said()
    notes = said.noting(say)
    if arguments.rollback:
        with mlflow_errors(project):
            version = rollback(project, arguments.name, notes, dry_run=arguments.dry_run)
        said.found = {"version": version, "promoted": not arguments.dry_run}
        return said
    limits = Limits(
        latency_ratio=arguments.latency_ratio,
        size_ratio=arguments.size_ratio,
        latency_ms=arguments.latency_ms,
        size_bytes=None if arguments.size_kib is None else round(arguments.size_kib * 1024),
    )
    with mlflow_errors(project):
        found = register(
            project, name=arguments.name, metric=arguments.metric, limits=limits, dry_run=arguments.dry_run, say=notes
        )
    said.found = {
        "name": found.name,
        "version": found.version or None,
        "champion_before": found.champion or None,
        "rows": [asdict(row) for row in found.rows],
        "promoted": found.promoted,
    }
    return said


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add: Callable[..., argparse.ArgumentParser],
) -> None:
    """Add them to the command line; `add` makes one of a name, a function and a text."""
    sweep = add(commands, "sweep", _sweep, "run many experiments of one question; run it again to go on")
    sweep.add_argument("file", help="as sweeps/lr.yaml; docs/sweeps.md explains it")
    sweep.add_argument("--jobs", type=positive, help="trials at a time (default: the file's `jobs`)")
    sweep.add_argument("--dry-run", action="store_true", help="check the file and show what would be tried")
    sweep.add_argument("--take-over", action="store_true", help="go on with trials of other machines, gone for good")

    register = add(commands, "register", _register, "register the exported model; champion if it passes the gate")
    register.add_argument("--name", help="of the registered model (default: data set and model, as mnist-convnet)")
    register.add_argument("--metric", help="the number of the test split that decides (default: accuracy, r2, …)")
    register.add_argument("--latency-ratio", type=_limit, default=1.25, help="slower than the champion at most (1.25)")
    register.add_argument("--size-ratio", type=_limit, default=1.5, help="larger than the champion at most (1.5)")
    register.add_argument("--latency-ms", type=_limit, help="absolute limit for one input, on one thread")
    register.add_argument("--size-kib", type=_limit, help="absolute limit for model.onnx")
    register.add_argument("--dry-run", action="store_true", help="show what would happen, change nothing")
    register.add_argument("--rollback", action="store_true", help="make the champion before this one champion again")


def _limit(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("must be a number above 0")
    return value
