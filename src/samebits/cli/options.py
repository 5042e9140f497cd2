"""What the modules of commands share: the project around the user, output, checks of arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import cache
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
    raise UserError(
        f"{start} is in no samebits project (no {_ROOT_MARK} here or above)",
        "cd into yours, or make one: samebits new NAME",
    )


def project_here() -> Project:
    """The project around the working folder.

    Raises:
        UserError: if there is none.
    """
    project = find_project(Path.cwd())
    _warn_of_other_code(project.workspace)
    return project


@cache
def _warn_of_other_code(workspace: Path) -> None:
    """Say it, once, if the project has other code of samebits than the installed one, which runs here.

    So it is with two clones and one activated environment. Stages run the code beside them; a command does not.
    """
    here, there = Path(__file__).parents[1], workspace / "src" / "samebits"
    if not there.is_dir() or there.resolve() == here.resolve():
        return
    files = sorted({each.relative_to(root) for root in (here, there) for each in root.rglob("*.py")})
    other = [each for each in files if _content(here / each) != _content(there / each)]
    if other:
        print(
            f"warning: this command runs the code of {here}, and the project here has other code ({len(other):,} of "
            f"{len(files):,} files, as {other[0]}); its own environment: make setup, source .venv/bin/activate",
            file=sys.stderr,
            flush=True,
        )


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def say(line: str) -> None:
    """At once: the stages that run in between print by themselves."""
    print(line, flush=True)


def command_group(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    """A command that has commands of its own; what they are added to."""
    group = commands.add_parser(name, help=text, description=text)
    return group.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def between(low: float, high: float, what: str) -> Callable[[str], float]:
    """The type of an option: a number between both; `what` it is not, for the message."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = low
        if not low < value < high:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}")
        return value

    return number


seconds = between(0, 1e6, "number of seconds above 0")


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
