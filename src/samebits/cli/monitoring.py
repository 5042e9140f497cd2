"""`samebits monitor`: whether a model's inputs and answers are still like those of its training data."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from samebits.base.result import Result
from samebits.cli.answers import add_source_options, request_of
from samebits.cli.model import fetched
from samebits.cli.options import between, project_here


def _monitor(arguments: argparse.Namespace) -> Result:
    from samebits.monitor.monitor import Limits, monitor
    from samebits.monitor.record import record, record_by

    page = Path(arguments.html) if arguments.html else None
    if page is None and not arguments.model:
        page = project_here().state / "monitor" / "report.html"
    limits = Limits(arguments.limit, arguments.alpha, tuple(arguments.ignore or ()))
    with fetched(arguments) as model:
        answers = [Path(path) for path in arguments.answers or ()]
        found = monitor(request_of(arguments, model.file), answers, limits, page, str(arguments.model or model.file))
    if model.registered is not None:
        source, version = model.registered
        record_by(partial(source.record, version), found)
    elif not arguments.model:
        record(project_here(), found)
    return found


_share = between(0, 1, "number between 0 and 1")


def add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    add: Callable[..., argparse.ArgumentParser],
) -> None:
    """Add it to the command line; `add` makes a command of a name, a function and a text."""
    from samebits.monitor import ALPHA, LIMIT

    watch = add(commands, "monitor", _monitor, "compare inputs and answers in use with the training data (drift)")
    add_source_options(watch)
    watch.add_argument(
        "--answers", action="append", metavar="FILE",
        help="a file that samebits predict --output wrote (CSV, JSONL, Parquet), instead of inputs; may be given again",
    )  # fmt: skip
    watch.add_argument(
        "--limit", type=_share, default=LIMIT, metavar="SHARE",
        help=f"differences from here on are drift, 0 to 1 (default: {LIMIT:g})",
    )  # fmt: skip
    watch.add_argument(
        "--alpha", type=_share, default=ALPHA, metavar="RATE",
        help=f"false alarms per run at most (default: {ALPHA:g})",
    )  # fmt: skip
    watch.add_argument(
        "--ignore", action="append", metavar="NAME",
        help="a statistic that may change, such as a column of dates; may be given again",
    )  # fmt: skip
    watch.add_argument("--html", metavar="FILE", help="the page (default: .samebits/monitor/report.html)")
