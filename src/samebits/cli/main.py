"""The `samebits` command. Each subcommand is a thin call into the package; imports wait until they are needed."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_type_hints

from samebits import __version__
from samebits.base.boundary import as_user_error
from samebits.base.errors import EXIT_BUG, EXIT_INTERRUPTED, EXIT_UNREAD, EXIT_USER_ERROR, UserError
from samebits.base.redaction import without_secrets
from samebits.base.result import Result, Said, json_text
from samebits.base.terminal import escape_unprintable, stdout_as_stderr
from samebits.cli.answers import add_predict_options, generate, predict
from samebits.cli.comparing import add_commands as add_comparing
from samebits.cli.demo import add_commands as add_demo
from samebits.cli.help import epilog, grouped
from samebits.cli.labels import add_commands as add_labels
from samebits.cli.model import add_model_option
from samebits.cli.monitoring import add_commands as add_monitoring
from samebits.cli.options import command_group, positive, project_here, say
from samebits.cli.provenance import add_commands as add_verifying
from samebits.cli.selection import add_commands as add_selecting
from samebits.cli.serving import add_commands as add_serving
from samebits.cli.sharing import add_commands as add_sharing
from samebits.cli.starting import add_commands as add_starting
from samebits.cli.submit import add_commands as add_submit
from samebits.cli.worker import add_commands as add_worker

_WRITTEN = ("models", "reports", "data", ".samebits", ".dvc", "mlruns")
"""Folders of the project that commands write into; each may be a disk of its own."""

Run = Callable[[argparse.Namespace], Result | None]


def _use(arguments: argparse.Namespace) -> None:
    from samebits.pipeline.recipes import use

    use(project_here().workspace, arguments.recipe)


def _keep(arguments: argparse.Namespace) -> None:
    from samebits.cli.weights import keep_weights

    keep_weights(project_here(), arguments.file, replace=arguments.replace, say=say)


def _ui(arguments: argparse.Namespace) -> None:
    from samebits.params.runtime import read_runtime
    from samebits.tracking.ui.server import run_ui

    project = project_here()
    if arguments.port:
        os.environ["SAMEBITS_UI_PORT"] = str(arguments.port)
    code = run_ui(project, read_runtime(project.params_file).tracking.experiment)
    if code:
        raise UserError(f"the MLflow server ended with exit code {code}", f"see {project.state / 'ui.log'}")


def _sync(_: argparse.Namespace) -> Result:
    from samebits.tracking.upload.sync import sync

    return sync(project_here())


def _status(_: argparse.Namespace) -> Result:
    from samebits.tracking.ui.housekeeping import runs_status

    return runs_status(project_here())


def _clean(arguments: argparse.Namespace) -> Result:
    from samebits.tracking.ui.housekeeping import clean

    said = Said()
    notes = said.noting(say)
    closed = clean(project_here(), notes, 60.0 * arguments.silent)
    notes(f"{closed} runs closed")
    said.found = {"closed": closed}
    return said


def _check(_: argparse.Namespace) -> None:
    from samebits.sweeps.preflight import require_tracked

    require_tracked(project_here())
    print("an experiment in a temporary folder (--temp, --queue, samebits sweep) would see all its inputs")


def _summary(_: argparse.Namespace) -> Result:
    from samebits.pipeline.summary import summarize
    from samebits.provenance.stale import stale_stages

    return summarize(project_here(), stale_stages)


def _fetch(arguments: argparse.Namespace) -> Result:
    from samebits.data.fetching.catalog import load_card
    from samebits.data.fetching.fetch import fetch

    said = Said()
    files = fetch(load_card(project_here().catalog, arguments.card), say=said.noting(say))
    for path in files.values():
        said.noting(say)(str(path))
    said.found = {"files": files}
    return said


def _completion(arguments: argparse.Namespace) -> None:
    from samebits.cli.completion import completion_script

    print(completion_script(parser(), arguments.shell))


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

    ask = _command(commands, "predict", predict, "answers of the exported model for images, texts, arrays or rows")
    add_predict_options(ask)

    add_monitoring(commands, _command)
    write = _command(commands, "generate", generate, "continue a text with the exported language model")
    write.add_argument("prompt", help="the text to go on from")
    add_model_option(write)
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

    add_comparing(commands, _command)
    add_serving(commands, _command)
    add_demo(commands, _command)
    ui = _command(commands, "ui", _ui, "open MLflow's pages on this project's runs")
    ui.add_argument("--port", type=int, help="default: 5000, or the next free one")

    add_selecting(commands, _command)
    add_labels(commands, _command)
    add_worker(commands, _command)
    add_submit(commands, _command)
    runs = command_group(commands, "runs", "look after the recorded runs")
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
    complete = _command(commands, "completion", _completion, "print a script that completes commands in your shell")
    complete.add_argument("shell", choices=("bash", "zsh", "fish", "tcsh"))
    add_verifying(commands, _command)
    add_sharing(commands, _command)
    top.epilog = grouped({name: command.description or "" for name, command in commands.choices.items()})
    return top


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Run,
    text: str,
    more: str = "",
) -> argparse.ArgumentParser:
    """A command. One whose function gives a `Result` gets --json."""
    added = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=epilog(f"{commands._prog_prefix} {name}".removeprefix("samebits "), more),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(run=run, json=False)
    if get_type_hints(run).get("return") is Result:
        added.add_argument("--json", action="store_true", help="one JSON document on stdout (docs/scripting.md)")
    return added


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code (docs/scripting.md).

    With --json, stdout holds one document, of the result or of the error, and all that is said meanwhile goes to
    stderr.
    """
    escape_unprintable()
    arguments = parser().parse_args(argv)
    try:
        if arguments.json:
            with stdout_as_stderr():
                result = arguments.run(arguments)
                document = json_text(result.json())
            print(document)
        elif result := arguments.run(arguments):
            for line in result.lines():
                print(line)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read what we print has ended (`samebits … | head -1`). Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_UNREAD
    except BaseException as error:
        written = (Path.cwd(), *(Path.cwd() / name for name in _WRITTEN), Path(tempfile.gettempdir()))
        explained = error if isinstance(error, UserError) else as_user_error(error, written, "then try again")
        if explained is None:
            if not isinstance(error, Exception):
                raise
            print(without_secrets(traceback.format_exc()), end="", file=sys.stderr)
            return EXIT_BUG
        print(f"samebits {arguments.command}: error: {without_secrets(str(explained))}", file=sys.stderr)
        if arguments.json:
            parts = {"error": without_secrets(explained.problem), "fix": without_secrets(explained.fix)}
            print(json_text(parts))
        return EXIT_USER_ERROR
    return result.exit_code if result else 0


if __name__ == "__main__":
    raise SystemExit(main())
