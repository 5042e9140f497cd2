"""The `samebits` command. Each subcommand is a thin call into the package; imports wait until they are needed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from samebits import __version__
from samebits.errors import EXIT_INTERRUPTED, EXIT_USER_ERROR, UserError
from samebits.paths import Project, current_project

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


def _predict(arguments: argparse.Namespace) -> None:
    from samebits.predict import predict
    from samebits.predict_text import predict_texts, takes_texts

    model = arguments.model or find_project(Path.cwd()).exported / "model.onnx"
    if arguments.text or arguments.lines or takes_texts(Path(model)):
        predict_texts(
            Path(model),
            texts=arguments.text or (),
            files=[Path(path) for path in arguments.images],
            lines=Path(arguments.lines) if arguments.lines else None,
            top=arguments.top,
        )
        return
    predict([Path(path) for path in arguments.images], model=Path(model), top=arguments.top, invert=arguments.invert)


def _generate(arguments: argparse.Namespace) -> None:
    from samebits.generate import open_writer, require_sampling
    from samebits.generation import Sampling

    sampling = Sampling(arguments.temperature, arguments.top_k, arguments.top_p, arguments.seed)
    require_sampling(sampling, arguments.tokens)
    writer = open_writer(Path(arguments.model or find_project(Path.cwd()).exported / "model.onnx"))
    print(arguments.prompt, end="", flush=True)
    for piece in writer.pieces(arguments.prompt, arguments.tokens, sampling):
        print(piece, end="", flush=True)
    print()


def _use(arguments: argparse.Namespace) -> None:
    from samebits.recipes import use

    use(find_project(Path.cwd()).workspace, arguments.recipe)


def _ui(arguments: argparse.Namespace) -> None:
    from samebits.params.schema import read_params
    from samebits.tracking.ui import run_ui

    project = find_project(Path.cwd())
    if arguments.port:
        os.environ["SAMEBITS_UI_PORT"] = str(arguments.port)
    code = run_ui(project, read_params(project.params_file).runtime.tracking.experiment)
    if code:
        raise UserError(f"the MLflow server ended with exit code {code}", f"see {project.state / 'ui.log'}")


def _sync(_: argparse.Namespace) -> None:
    from samebits.tracking.sync import sync

    report = sync(find_project(Path.cwd()))
    for name in report.sent:
        print(f"sent: {name}")
    for name, events in report.waiting.items():
        print(f"waiting: {name}, {events} events")
    if report.problem:
        raise UserError(report.problem, "bring the server up, then run this again; nothing is lost")
    print(f"{len(report.sent)} runs brought up to date, nothing waits")


def _summary(_: argparse.Namespace) -> None:
    from samebits.summary import summarize

    print(summarize(find_project(Path.cwd())))


def _fetch(arguments: argparse.Namespace) -> None:
    from samebits.data.catalog import load_card
    from samebits.data.fetch import fetch

    for path in fetch(load_card(find_project(Path.cwd()).catalog, arguments.card), say=print).values():
        print(path)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="samebits", description="Same code, same data, same bits.")
    top.add_argument("--version", action="version", version=f"samebits {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    predict = _command(
        commands, "predict", _predict, "classes and probabilities of images or texts, from the exported model"
    )
    predict.add_argument("images", nargs="*", metavar="FILE", help="an image or a text each, as the model takes")
    predict.add_argument("--text", action="append", metavar="TEXT", help="a text as it is; may be given again")
    predict.add_argument("--lines", metavar="FILE", help="a file with a text a line")
    predict.add_argument("--model", help="an exported ONNX file (default: models/export/model.onnx)")
    predict.add_argument("--top", type=int, default=3, help="classes to show (default: 3)")

    predict.add_argument("--invert", action="store_true", help="swap black and white first")

    write = _command(commands, "generate", _generate, "continue a text with the exported language model")
    write.add_argument("prompt", help="the text to go on from")
    write.add_argument("--model", help="an exported ONNX file (default: models/export/model.onnx)")
    write.add_argument("--tokens", type=int, default=200, help="how many at most (default: 200)")
    write.add_argument("--temperature", type=float, default=0.8, help="0 takes the most probable (default: 0.8)")
    write.add_argument("--top-k", type=int, help="draw from so many of the most probable tokens (default: all)")
    write.add_argument("--top-p", type=float, default=0.95, help="draw from this share of probability (default: 0.95)")
    write.add_argument("--seed", type=int, default=0, help="the same one gives the same text (default: 0)")

    use = _command(commands, "use", _use, "merge a recipe of recipes/ into params.yaml")
    use.add_argument("recipe", help="its name, as `mnist` for recipes/mnist.yaml")

    ui = _command(commands, "ui", _ui, "open MLflow's pages on this project's runs")
    ui.add_argument("--port", type=int, help="default: 5000, or the next free one")

    runs = commands.add_parser("runs", help="look after the recorded runs").add_subparsers(
        dest="subcommand", required=True, metavar="COMMAND"
    )
    _command(runs, "sync", _sync, "send MLflow what it could not be sent while it was down")
    _command(commands, "summary", _summary, "the result of the last dvc repro, as a short table")
    fetch = _command(commands, "fetch", _fetch, "download the files of a catalogue card into the cache")
    fetch.add_argument("card", help="its name, as `mnist` for data/catalog/mnist.yaml")
    return top


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], None],
    text: str,
) -> argparse.ArgumentParser:
    added = commands.add_parser(name, help=text, description=text)
    added.set_defaults(run=run)
    return added


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code: 0, 2 for bad input, 130 after Ctrl-C."""
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except UserError as error:
        print(f"samebits {arguments.command}: error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
