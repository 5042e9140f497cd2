"""What the modules of commands share: the project around the user, output, checks of arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.paths import Project, current_project

_ROOT_MARK = "dvc.yaml"


def find_project(start: Path) -> Project:
    """The project around a folder: the nearest one upwards that holds dvc.yaml.

    Raises:
        UserError: if there is none.
    """
    for folder in (start, *start.parents):
        if (folder / _ROOT_MARK).is_file():
            return current_project(folder)
    raise UserError(f"{start} is in no samebits project (no {_ROOT_MARK} here or above)", "cd into your clone")


def project_here() -> Project:
    """The project around the working folder.

    Raises:
        UserError: if there is none.
    """
    return find_project(Path.cwd())


def say(line: str) -> None:
    """At once: the stages that run in between print by themselves."""
    print(line, flush=True)


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def remote_options(command: argparse.ArgumentParser) -> None:
    """Options of a command that talks to a DVC remote."""
    command.add_argument("--remote", metavar="NAME", help="a DVC remote (default: the default one)")
    command.add_argument(
        "--timeout",
        type=seconds,
        default=30.0,
        metavar="SECONDS",
        help="for its first answer; a transfer may be without a byte four times as long (default: 30)",
    )


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value
