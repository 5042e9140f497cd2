"""`samebits predict` and `samebits generate`: what an exported model answers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samebits.base.errors import UserError
from samebits.base.result import Result, Said
from samebits.cli.model import add_model_option, fetched, model_of
from samebits.cli.options import project_here

if TYPE_CHECKING:
    from samebits.inference.predictor import Request


def predict(arguments: argparse.Namespace) -> Result:
    """Answers of an exported model, for inputs of its kind."""
    from samebits.inference.request import predict as answer

    if arguments.json and not arguments.output and arguments.format not in (None, "json"):
        raise UserError(f"--json and --format {arguments.format} ask for two forms", "leave one out")
    own = not arguments.model
    if own and arguments.output:
        _warn_if_stale(model_of(arguments))
    with fetched(arguments) as model:
        found = answer(
            request_of(
                arguments,
                model.file,
                id=arguments.id,
                top=arguments.top,
                format=arguments.format,
                output=Path(arguments.output) if arguments.output else None,
            )
        )
    # DVC takes a second to ask: answers that somebody waits for come first, and before a long job there is time.
    return _Then(found, lambda: _warn_if_stale(model.file)) if own and not arguments.output else found


def request_of(arguments: argparse.Namespace, model: Path, **more: Any) -> Request:
    """What `add_source_options` were given, of a model's file, and more of a request."""
    from samebits.inference.predictor import Request

    return Request(
        model=model,
        files=tuple(Path(path) for path in arguments.files),
        text=tuple(arguments.text or ()),
        lines=Path(arguments.lines) if arguments.lines else None,
        column=arguments.column,
        stdin=arguments.stdin,
        invert=arguments.invert,
        **more,
    )


def add_source_options(ask: argparse.ArgumentParser) -> None:
    """Arguments of a command that reads inputs for an exported model."""
    ask.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="images, texts, .npy files; a CSV, JSONL or Parquet file with a row each, or with paths in its column "
        "`path`; a folder; a pattern such as 'scans/**/*.png'; - for stdin",
    )
    ask.add_argument("--text", action="append", metavar="TEXT", help="a text as it is; may be given again")
    ask.add_argument("--lines", metavar="FILE", help="a file with a text a line")
    add_model_option(ask)
    ask.add_argument("--invert", action="store_true", help="swap black and white of images first")
    ask.add_argument("--column", help="of a CSV, JSONL or Parquet file: the column of the texts, or of the paths")
    ask.add_argument(
        "--stdin",
        choices=("lines", "csv", "jsonl"),
        help="what - holds (default: csv for tables, else lines)",
    )


def add_predict_options(ask: argparse.ArgumentParser) -> None:
    """Arguments of `samebits predict`."""
    add_source_options(ask)
    ask.add_argument("--top", type=int, metavar="N", help="classes to give (default: 3; in columns of a table 1)")
    ask.add_argument(
        "--id",
        metavar="COLUMN",
        help="of a CSV, JSONL or Parquet file: the column that names the answers (default: FILE:LINE)",
    )
    ask.add_argument(
        "--format",
        choices=("text", "json", "jsonl", "csv", "parquet"),
        help="of the answers (default: by the ending of --output; else csv for tables, text for others)",
    )
    ask.add_argument(
        "--output",
        metavar="PATH",
        help="a file for the answers; of masks, a folder for them and answers.csv. A job that was stopped goes on",
    )


@dataclass
class _Then(Result):
    """A result, and what is done once it was given."""

    found: Result
    then: Callable[[], None]

    @property
    def exit_code(self) -> int:
        return self.found.exit_code

    def lines(self) -> Iterator[str]:
        yield from self.found.lines()
        self.then()

    def json(self) -> Mapping[str, Any]:
        document = self.found.json()
        self.then()
        return document


def _warn_if_stale(model: Path) -> None:
    """Say so if the project's own model is of other data, code or parameters than are here."""
    from samebits.provenance.stale import stale_model

    if model.is_file() and (why := stale_model(project_here().workspace, model)):
        print(f"warning: {why}", file=sys.stderr, flush=True)


def generate(arguments: argparse.Namespace) -> Result:
    """A text continued, each piece shown when it comes."""
    from samebits.inference.generate import open_writer, require_sampling
    from samebits.inference.sampling import Sampling

    sampling = Sampling(arguments.temperature, arguments.top_k, arguments.top_p, arguments.seed)
    require_sampling(sampling, arguments.tokens)
    if not arguments.model:
        _warn_if_stale(model_of(arguments))
    with fetched(arguments) as model:
        writer = open_writer(model.file)
    text = arguments.prompt
    print(text, end="", flush=True)
    for piece in writer.pieces(arguments.prompt, arguments.tokens, sampling):
        print(piece, end="", flush=True)
        text += piece
    print()
    return Said(found={"prompt": arguments.prompt, "text": text})
