"""The command that sends a run to a cluster's queue."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.result import Result, Said
from samebits.cli.options import positive, project_here, say
from samebits.starting.sbatch import Wants


def _submit(arguments: argparse.Namespace) -> Result:
    from samebits.starting.submit import submit
    from samebits.sweeps.seeds import seeds_sweep
    from samebits.sweeps.spec import read_sweep

    project, said, sweep = project_here(), Said(), None
    if arguments.seeds:
        sweep = seeds_sweep(project, arguments.seeds, arguments.name)
    elif arguments.sweep:
        if arguments.name:
            raise UserError("--name: a sweep has a name of its own", "set `name` in its file")
        sweep = read_sweep(project, Path(arguments.sweep))
    wants = Wants(
        partition=arguments.partition,
        time=arguments.time,
        cpus=arguments.cpus,
        memory=arguments.memory,
        gpus=arguments.gpus,
        at_once=arguments.at_once,
        save_seconds=arguments.save_seconds,
        extra=tuple(arguments.sbatch),
    )
    said.found = submit(
        project, wants, sweep=sweep, name=arguments.name, dry_run=arguments.dry_run, say=said.noting(say)
    )
    return said


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add: Callable[..., argparse.ArgumentParser],
) -> None:
    """Add `submit`."""
    command = add(commands, "submit", _submit, "send this commit, a sweep or seeds to Slurm; requeues resume")
    what = command.add_mutually_exclusive_group()
    what.add_argument("--sweep", metavar="FILE", help="its trials, as an array (method: grid or random)")
    what.add_argument("--seeds", type=positive, metavar="N", help="seeds 0 to N - 1, as an array")
    command.add_argument("--name", help="of the job and its experiment, or of the seeds' study")
    command.add_argument("--partition", metavar="NAME", help="default: the cluster's")
    command.add_argument("--time", metavar="LIMIT", help="minutes, HH:MM:SS or DAYS-HH (default: the partition's)")
    command.add_argument("--cpus", type=positive, metavar="N", help="per node (default: train.threads a process)")
    command.add_argument("--memory", metavar="SIZE", help="per node, as 8G (default: the cluster's)")
    command.add_argument("--gpus", metavar="N", help="per node, as 1 or a100:2 (default: none)")
    command.add_argument("--at-once", type=positive, metavar="N", help="tasks of an array at a time (default: all)")
    command.add_argument(
        "--save-seconds",
        type=positive,
        metavar="N",
        default=Wants.save_seconds,
        help="before the limit, to save the state and go back to the queue (default: %(default)s)",
    )
    command.add_argument("--sbatch", action="append", default=[], metavar="OPTION", help="more, as account=vision")
    command.add_argument("--dry-run", action="store_true", help="print the script; write and send nothing")
