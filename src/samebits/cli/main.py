"""The `samebits` command. Each subcommand is a thin call into the package; imports wait until they are needed."""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from samebits import __version__
from samebits.base.boundary import as_user_error
from samebits.base.errors import EXIT_INTERRUPTED, EXIT_USER_ERROR, UserError
from samebits.base.redaction import without_secrets
from samebits.base.terminal import escape_unprintable
from samebits.cli.answers import generate, predict
from samebits.cli.comparing import add_commands as add_comparing
from samebits.cli.help import epilog, grouped
from samebits.cli.options import positive, project_here, say
from samebits.cli.provenance import add_commands as add_verifying
from samebits.cli.sharing import add_commands as add_sharing
from samebits.cli.starting import add_commands as add_starting

_WRITTEN = ("models", "reports", "data", ".samebits", ".dvc", "mlruns")
"""Folders of the project that commands write into; each may be a disk of its own."""

_EXIT_UNREAD = 141
"""Nobody reads the output any more (128 + SIGPIPE, as shells report it)."""


def _use(arguments: argparse.Namespace) -> None:
    from samebits.pipeline.recipes import use

    use(project_here().workspace, arguments.recipe)


def _keep(arguments: argparse.Namespace) -> None:
    from samebits.cli.weights import keep_weights

    keep_weights(project_here(), arguments.file, replace=arguments.replace, say=say)


def _ui(arguments: argparse.Namespace) -> None:
    from samebits.params.schema import read_params
    from samebits.tracking.ui.server import run_ui

    project = project_here()
    if arguments.port:
        os.environ["SAMEBITS_UI_PORT"] = str(arguments.port)
    code = run_ui(project, read_params(project.params_file).runtime.tracking.experiment)
    if code:
        raise UserError(f"the MLflow server ended with exit code {code}", f"see {project.state / 'ui.log'}")


def _sweep(arguments: argparse.Namespace) -> None:
    from samebits.sweeps.spec import read_sweep

    project = project_here()
    sweep = read_sweep(project, Path(arguments.file))
    if arguments.dry_run:
        from samebits.sweeps.plan import plan

        print(plan(sweep, arguments.jobs))
        return
    from samebits.sweeps.runner import run_sweep

    run_sweep(project, sweep, jobs=arguments.jobs, take_over=arguments.take_over, say=say)


def _sync(_: argparse.Namespace) -> None:
    from samebits.tracking.upload.sync import sync

    report = sync(project_here())
    for name in report.sent:
        print(f"sent: {name}")
    for name in report.replayed:
        print(f"recorded: experiment {name}, whose results came from DVC's run cache")
    for name, events in report.waiting.items():
        print(f"waiting: {name}, {events} events")
    if report.problem:
        raise UserError(report.problem, "samebits doctor looks at the store; then run this again: nothing is lost")
    print(f"{len(report.sent) + len(report.replayed)} runs brought up to date, nothing waits")


def _register(arguments: argparse.Namespace) -> None:
    from samebits.model_registry.gate import Limits
    from samebits.model_registry.register import mlflow_errors, register, rollback

    project = project_here()
    if arguments.rollback:
        with mlflow_errors(project):
            rollback(project, arguments.name, say, dry_run=arguments.dry_run)
        return
    limits = Limits(
        latency_ratio=arguments.latency_ratio,
        size_ratio=arguments.size_ratio,
        latency_ms=arguments.latency_ms,
        size_bytes=None if arguments.size_kib is None else round(arguments.size_kib * 1024),
    )
    metric = arguments.metric
    with mlflow_errors(project):
        register(project, name=arguments.name, metric=metric, limits=limits, dry_run=arguments.dry_run, say=say)


def _status(_: argparse.Namespace) -> None:
    from samebits.tracking.ui.housekeeping import status_text

    print(status_text(project_here()))


def _clean(arguments: argparse.Namespace) -> None:
    from samebits.tracking.ui.housekeeping import clean

    closed = clean(project_here(), say, 60.0 * arguments.silent)
    print(f"{closed} runs closed")


def _check(_: argparse.Namespace) -> None:
    from samebits.sweeps.preflight import require_tracked

    require_tracked(project_here())
    print("an experiment in a temporary folder (--temp, --queue, samebits sweep) would see all its inputs")


def _summary(_: argparse.Namespace) -> None:
    from samebits.pipeline.summary import summarize
    from samebits.provenance.stale import stale_stages

    print(summarize(project_here(), stale_stages))


def _fetch(arguments: argparse.Namespace) -> None:
    from samebits.data.fetching.catalog import load_card
    from samebits.data.fetching.fetch import fetch

    for path in fetch(load_card(project_here().catalog, arguments.card), say=print).values():
        print(path)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="samebits",
        usage="samebits COMMAND ...",
        description="Same code, same data, same bits.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"samebits {__version__}")
    commands = top.add_subparsers(
        dest="command", required=True, metavar="COMMAND", prog="samebits", help=argparse.SUPPRESS
    )

    ask = _command(
        commands, "predict", predict, "answers of the exported model for images, texts, or the rows of a CSV"
    )
    ask.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="images or texts; a CSV, JSONL or Parquet file with a text per row; or a table",
    )
    ask.add_argument("--text", action="append", metavar="TEXT", help="a text as it is; may be given again")
    ask.add_argument("--lines", metavar="FILE", help="a file with a text a line")
    ask.add_argument("--model", help="an exported ONNX file (default: models/export/model.onnx)")
    ask.add_argument("--top", type=int, help="classes to show of an image or text (default: 3)")

    ask.add_argument("--invert", action="store_true", help="swap black and white of images first")
    ask.add_argument(
        "--output",
        metavar="PATH",
        help="a CSV file for a table's answers instead of printing them; a folder for the masks of images",
    )

    write = _command(commands, "generate", generate, "continue a text with the exported language model")
    write.add_argument("prompt", help="the text to go on from")
    write.add_argument("--model", help="an exported ONNX file (default: models/export/model.onnx)")
    write.add_argument("--tokens", type=int, default=200, help="how many at most (default: 200)")
    write.add_argument("--temperature", type=float, default=0.8, help="0 takes the most probable (default: 0.8)")
    write.add_argument("--top-k", type=int, help="draw from so many of the most probable tokens (default: all)")
    write.add_argument("--top-p", type=float, default=0.95, help="draw from this share of probability (default: 0.95)")
    write.add_argument("--seed", type=int, default=0, help="the same one gives the same text (default: 0)")

    use = _command(commands, "use", _use, "merge a recipe of recipes/ into params.yaml")
    use.add_argument("recipe", help="its name, as `mnist` for recipes/mnist.yaml")

    add_starting(commands, _command)
    keep = _command(commands, "keep", _keep, "copy the trained weights below data/raw, to start from")
    keep.add_argument("file", help="where to, as data/raw/mnist_resnet18.safetensors")
    keep.add_argument("--replace", action="store_true", help="even if other weights lie there")

    sweep = _command(commands, "sweep", _sweep, "run many experiments of one question; run it again to go on")
    sweep.add_argument("file", help="as sweeps/lr.yaml; docs/sweeps.md explains it")
    sweep.add_argument("--jobs", type=positive, help="trials at a time (default: the file's `jobs`)")
    sweep.add_argument("--dry-run", action="store_true", help="check the file and show what would be tried")
    sweep.add_argument("--take-over", action="store_true", help="go on with trials of other machines, gone for good")

    add_comparing(commands, _command)

    ui = _command(commands, "ui", _ui, "open MLflow's pages on this project's runs")
    ui.add_argument("--port", type=int, help="default: 5000, or the next free one")

    register = _command(commands, "register", _register, "register the exported model; champion if it passes the gate")
    register.add_argument("--name", help="of the registered model (default: data set and model, as mnist-convnet)")
    register.add_argument("--metric", help="the number of the test split that decides (default: accuracy, r2, …)")
    register.add_argument("--latency-ratio", type=_limit, default=1.25, help="slower than the champion at most (1.25)")
    register.add_argument("--size-ratio", type=_limit, default=1.5, help="larger than the champion at most (1.5)")
    register.add_argument("--latency-ms", type=_limit, help="absolute limit for one input, on one thread")
    register.add_argument("--size-kib", type=_limit, help="absolute limit for model.onnx")
    register.add_argument("--dry-run", action="store_true", help="show what would happen, change nothing")
    register.add_argument("--rollback", action="store_true", help="make the champion before this one champion again")

    runs = commands.add_parser("runs", description="look after the recorded runs").add_subparsers(
        dest="subcommand", required=True, metavar="COMMAND"
    )
    _command(runs, "sync", _sync, "send MLflow what it could not be sent while it was down")
    _command(runs, "status", _status, "what waits to be sent to MLflow, and why")
    clean = _command(runs, "clean", _clean, "close runs that stand as RUNNING though their process is dead")
    clean.add_argument(
        "--silent", type=positive, default=30, metavar="MINUTES", help="of another machine's run: dead after (30)"
    )
    _command(runs, "check", _check, "would a queued experiment see all its inputs? (git must track them)")
    _command(commands, "summary", _summary, "the result of the last dvc repro, as a short table")
    fetch = _command(commands, "fetch", _fetch, "download the files of a catalogue card into the cache")
    fetch.add_argument("card", help="its name, as `mnist` for data/catalog/mnist.yaml")
    add_verifying(commands, _command)
    add_sharing(commands, _command)
    top.epilog = grouped({name: command.description or "" for name, command in commands.choices.items()})
    return top


def _limit(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("must be a number above 0")
    return value


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    text: str,
    more: str = "",
) -> argparse.ArgumentParser:
    added = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=epilog(name, more),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(run=run)
    return added


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code: 0, 1 where bits differ, 2 for bad input, 130 after Ctrl-C."""
    escape_unprintable()
    arguments = parser().parse_args(argv)
    try:
        code: int | None = arguments.run(arguments)
    except UserError as error:
        print(f"samebits {arguments.command}: error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read what we print has ended (`samebits … | head -1`). Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_UNREAD
    except BaseException as error:
        written = (Path.cwd(), *(Path.cwd() / name for name in _WRITTEN), Path(tempfile.gettempdir()))
        explained = as_user_error(error, written, "then try again")
        if explained is None:
            raise
        print(f"samebits {arguments.command}: error: {without_secrets(str(explained))}", file=sys.stderr)
        return EXIT_USER_ERROR
    return code or 0


if __name__ == "__main__":
    raise SystemExit(main())
