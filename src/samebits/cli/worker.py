"""The command of a machine that computes with another one."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from samebits.cli.options import positive, project_here, say


def _worker(arguments: argparse.Namespace) -> None:
    from samebits.starting.worker import join_training

    if code := join_training(project_here().workspace, arguments.join, arguments.wait, say):
        raise SystemExit(code)


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add: Callable[..., argparse.ArgumentParser],
) -> None:
    """Add `worker`."""
    worker = add(commands, "worker", _worker, "compute with another machine, whose dvc repro waits for this one")
    worker.add_argument("--join", required=True, metavar="HOST[:PORT]", help="of the first machine (port: 29650)")
    worker.add_argument(
        "--wait", type=positive, default=600, metavar="SECONDS", help="until it listens (default: %(default)s)"
    )
