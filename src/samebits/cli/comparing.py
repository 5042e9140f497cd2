"""The commands that judge a setting by more than one run: seeds, compare."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from samebits.base.result import Result, Said
from samebits.cli.options import positive, project_here, say


def _seeds(arguments: argparse.Namespace) -> Result:
    from samebits.sweeps.seeds import run_seeds

    said = Said()
    said.found = run_seeds(
        project_here(),
        arguments.count,
        name=arguments.name,
        jobs=arguments.jobs,
        take_over=arguments.take_over,
        dry_run=arguments.dry_run,
        say=said.noting(say),
    )
    return said


def _compare(arguments: argparse.Namespace) -> Result:
    from samebits.sweeps.compare import compare

    return compare(project_here(), arguments.first, arguments.second, arguments.metric)


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add: Callable[..., argparse.ArgumentParser],
) -> None:
    """Add them to the command line; `add` makes one of a name, a function and a text."""
    seeds = add(commands, "seeds", _seeds, "run this setting with N seeds, and show mean, spread and each; resumes")
    seeds.add_argument("count", type=positive, metavar="N", help="seeds 0 to N - 1; more later go on with these")
    seeds.add_argument("--name", help="of the study, to compare by (default: seeds- and a hash of setting and code)")
    seeds.add_argument("--jobs", type=positive, default=1, help="seeds at a time (default: 1)")
    seeds.add_argument("--dry-run", action="store_true", help="show what would run")
    seeds.add_argument("--take-over", action="store_true", help="go on with seeds of other machines, gone for good")

    compare = add(commands, "compare", _compare, "is B better than A? over seeds and test samples, with what is unsure")
    for name, shown in (("first", "A"), ("second", "B")):
        compare.add_argument(name, metavar=shown, help="a seeds study, a commit, branch or tag, or an experiment")
    compare.add_argument("--metric", help="the number of the test split that decides (default: accuracy, r2, …)")
