"""The commands about labels of the training samples that are probably wrong."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from samebits.base.result import Result, Said
from samebits.cli.options import command_group, positive, project_here, say


def _suspects(arguments: argparse.Namespace) -> Result:
    from samebits.labels.suspects import suspects

    return suspects(project_here(), say, folds=arguments.folds, top=arguments.top)


def _accept(arguments: argparse.Namespace) -> Result:
    from samebits.labels.accept import accept

    said = Said()
    said.found = accept(project_here(), Path(arguments.file), said.noting(say))
    return said


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add: Callable[..., argparse.ArgumentParser],
) -> None:
    """Add them to the command line; `add` makes one of a name, a function and a text."""
    labels = command_group(commands, "labels", "find training labels that are probably wrong, and correct them")
    find = add(labels, "suspects", _suspects, "rank training samples by models that were trained without them")
    find.add_argument("--folds", type=positive, default=4, metavar="N", help="trainings, each without a part (4)")
    find.add_argument("--top", type=positive, default=100, metavar="N", help="suspects to show (100)")
    take = add(labels, "accept", _accept, "take your decisions into the file that prepare applies (data.corrections)")
    take.add_argument("file", metavar="FILE", help="decisions.csv of the page, or suspects.csv with your decisions")
