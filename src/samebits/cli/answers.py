"""`samebits predict` and `samebits generate`: what an exported model answers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from samebits.base.result import Result, Said
from samebits.cli.options import project_here


def predict(arguments: argparse.Namespace) -> Result:
    """Answers of an exported model, for inputs of its kind."""
    from samebits.inference.request import Request
    from samebits.inference.request import predict as answer

    return answer(
        Request(
            model=_model(arguments),
            files=tuple(Path(path) for path in arguments.files),
            text=tuple(arguments.text or ()),
            lines=Path(arguments.lines) if arguments.lines else None,
            top=arguments.top,
            invert=arguments.invert,
            output=Path(arguments.output) if arguments.output else None,
        )
    )


def _model(arguments: argparse.Namespace) -> Path:
    """The model file that is meant; says so if the project's own is of other data, code or parameters than are here."""
    if arguments.model:
        return Path(arguments.model)
    from samebits.provenance.stale import stale_model

    project = project_here()
    model = project.exported / "model.onnx"
    if model.is_file() and (why := stale_model(project.workspace, model)):
        print(f"warning: {why}", file=sys.stderr, flush=True)
    return model


def generate(arguments: argparse.Namespace) -> Result:
    """A text continued, each piece shown when it comes."""
    from samebits.inference.generate import open_writer, require_sampling
    from samebits.inference.sampling import Sampling

    sampling = Sampling(arguments.temperature, arguments.top_k, arguments.top_p, arguments.seed)
    require_sampling(sampling, arguments.tokens)
    writer = open_writer(_model(arguments))
    text = arguments.prompt
    print(text, end="", flush=True)
    for piece in writer.pieces(arguments.prompt, arguments.tokens, sampling):
        print(piece, end="", flush=True)
        text += piece
    print()
    return Said(found={"prompt": arguments.prompt, "text": text})
