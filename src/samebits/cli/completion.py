"""`samebits completion SHELL`: a script with which a shell completes commands and options. It starts no Python then."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

_FILES, _FOLDERS = {"FILE", "PATH", "PEM"}, {"DIR"}
"""Names of values that are such paths."""


def completion_script(top: argparse.ArgumentParser, shell: str) -> str:
    """The script for the whole command line.

    Args:
        top: is changed.
        shell: one of shtab's.
    """
    for action in _actions(top):
        if isinstance(action, argparse._SubParsersAction) and action.help is argparse.SUPPRESS:
            action.help = None  # of `--help`, which groups the commands; shtab would leave them out
        if {action.metavar, action.dest.upper()} & _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    return shtab.complete(top, shell)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
