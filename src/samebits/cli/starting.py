"""The commands before a long run: new, start, smoke, estimate, find; and update."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.result import Result, Said
from samebits.cli.options import command_group, project_here, say

_MOST_PARTS = 512
"""Each is a file that stays open while they are put together."""


def _new(arguments: argparse.Namespace) -> None:
    from samebits.template.new import new

    new(Path(arguments.name), recipe=arguments.recipe, data=Path(arguments.data) if arguments.data else None, say=say)


def _update(_: argparse.Namespace) -> None:
    from samebits.template.update import update

    update(project_here(), say)


def _start(arguments: argparse.Namespace) -> Result:
    from samebits.starting.found import Asked
    from samebits.starting.start import start

    asked = Asked(target=arguments.target, predict=arguments.predict, kind=arguments.kind)
    said = Said()
    changed = start(
        project_here(), Path(arguments.path), asked, trial=not arguments.no_trial, dry_run=arguments.dry_run,
        say=said.noting(say),
    )  # fmt: skip
    said.found = {"params": changed, "written": not arguments.dry_run}
    return said


def _prepare(arguments: argparse.Namespace) -> Result:
    from samebits.starting.parts import prepare_on_dask, prepare_part

    said = Said()
    if arguments.part:
        part, parts = arguments.part
        said.found = prepare_part(project_here(), part, parts, said.noting(say))
    elif arguments.dask and arguments.parts:
        said.found = prepare_on_dask(project_here(), arguments.dask, arguments.parts, said.noting(say))
    else:
        raise UserError(
            "which part is to be prepared, or on which machines, is not said",
            "write --part 1/8, or --dask ADDRESS --parts 8; all at once, here: dvc repro prepare",
        )
    return said


def _part(text: str) -> tuple[int, int]:
    """`3/8` -> (3, 8)."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= (most := _parts(parts))):
        raise argparse.ArgumentTypeError(f"{text!r} is no part: write 1/8 to 8/8 for eight of them")
    return int(part), most


def _parts(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_PARTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {_MOST_PARTS}")
    return int(text)


def _smoke(_: argparse.Namespace) -> Result:
    from samebits.starting.smoke import smoke

    said = Said()
    said.found = {"seconds": smoke(project_here(), said.noting(say))}
    return said


def _estimate(_: argparse.Namespace) -> Result:
    from samebits.starting.estimate import estimate

    return estimate(project_here(), say)


def _find_rate(arguments: argparse.Namespace) -> Result:
    from samebits.starting.find_rate import find_rate

    said = Said()
    rate = find_rate(project_here(), said.noting(say), dry_run=arguments.dry_run)
    said.found = {"setting": "train.optimizer.lr", "value": rate, "written": not arguments.dry_run}
    return said


def _find_batch_size(arguments: argparse.Namespace) -> Result:
    from samebits.starting.find_batch_size import find_batch_size

    said = Said()
    size = find_batch_size(project_here(), said.noting(say), dry_run=arguments.dry_run)
    said.found = {"setting": "train.batch_size", "value": size, "written": not arguments.dry_run}
    return said


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add: Callable[..., argparse.ArgumentParser],
) -> None:
    """Add them to the command line; `add` makes one of a name, a function and a text."""
    make = add(commands, "new", _new, "make a project of your own: a folder with pipeline, tests, CI, git and DVC")
    make.add_argument("name", help="of a folder that is not there yet")
    what = make.add_mutually_exclusive_group()
    what.add_argument("--recipe", help="to begin with (default: mnist); samebits use RECIPE takes another one later")
    what.add_argument(
        "--data", metavar="PATH", help="your own file or folder: it is copied, and params.yaml set for it"
    )

    start = add(commands, "start", _start, "look at data of your own, and write what they need into params.yaml")
    start.add_argument("path", help="a file or folder below data/raw")
    start.add_argument("--target", metavar="COLUMN", help="the column to predict")
    start.add_argument("--predict", choices=("class", "number"), help="what the target is, where that is not clear")
    start.add_argument("--kind", help="how the data are laid out, a data.format, where that is not clear")
    start.add_argument("--no-trial", action="store_true", help="neither prepare the data nor time a few steps first")
    start.add_argument("--dry-run", action="store_true", help="say everything, write nothing")
    add(commands, "update", _update, "bring this project to the installed release of samebits; your edits stay")
    prepare = add(commands, "prepare", _prepare, "decode images in parts, which dvc repro puts together")
    how = prepare.add_mutually_exclusive_group()
    how.add_argument("--part", type=_part, metavar="K/N", help="one part, as a task of a job array does")
    how.add_argument("--dask", metavar="ADDRESS", help="all parts on a cluster; each worker runs in a clone")
    prepare.add_argument("--parts", type=_parts, metavar="N", help="how many, for --dask")
    add(commands, "smoke", _smoke, "run all four stages on a few samples, in seconds; nothing is recorded or kept")
    add(commands, "estimate", _estimate, "say which time, memory and disk dvc repro will take")
    find = command_group(commands, "find", "find a setting by a few steps, and write it")
    for name, run, text in (
        ("lr", _find_rate, "a learning rate: it rises until the loss does; with the curve as a picture"),
        ("batch-size", _find_batch_size, "the smallest batch that is about as fast as the fastest"),
    ):
        command = add(find, name, run, text)
        command.add_argument("--dry-run", action="store_true", help="say everything, write nothing")
