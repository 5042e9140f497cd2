"""`samebits predict` and `samebits generate`: what an exported model answers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from samebits.base.errors import UserError
from samebits.cli.options import project_here

TOP = 3
"""Classes that `predict` gives for an image or a text."""


def predict(arguments: argparse.Namespace) -> None:
    """Answers of an exported model, for inputs of its kind."""
    from samebits.inference.image import predict as predict_images
    from samebits.inference.session import open_model

    model = _model(arguments)
    paths = [Path(path) for path in arguments.files]
    opened = open_model(model) if model.is_file() else None
    kind = opened[1]["preprocessing"].get("kind") if opened else None
    if arguments.text or arguments.lines or kind == "tokens":
        from samebits.inference.text import predict_texts

        lines = Path(arguments.lines) if arguments.lines else None
        texts = arguments.text or ()
        _refuse(arguments, "texts", "output", "invert")
        predict_texts(model, texts=texts, files=paths, lines=lines, top=_top(arguments), opened=opened)
        return
    if opened and kind == "table":
        from samebits.inference.table import print_predictions

        _refuse(arguments, "the rows of a table", "top", "invert")
        print_predictions(paths, *opened, Path(arguments.output) if arguments.output else None)
        return
    if opened and kind == "array":
        from samebits.inference.array import predict_arrays

        _refuse(arguments, "arrays", "output", "invert")
        for line in predict_arrays(paths, *opened, top=_top(arguments)):
            print(line)
        return
    if opened and opened[1]["target"].kind == "mask":
        from samebits.inference.masks import write_masks

        _refuse(arguments, "masks", "top")
        folder = Path(arguments.output) if arguments.output else None
        write_masks(paths, folder, model=model, invert=arguments.invert, opened=opened)
        return
    _refuse(arguments, "images", "output")
    predict_images(paths, model=model, top=_top(arguments), invert=arguments.invert, opened=opened)


def _top(arguments: argparse.Namespace) -> int:
    return TOP if arguments.top is None else int(arguments.top)


def _refuse(arguments: argparse.Namespace, kind: str, *options: str) -> None:
    """Refuse options that the answers for this kind of input do not have."""
    for option in options:
        if getattr(arguments, option):
            raise UserError(
                f"--{option} is not for {kind}", "leave it out; samebits predict --help says what it is for"
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


def generate(arguments: argparse.Namespace) -> None:
    """A text continued."""
    from samebits.inference.generate import open_writer, require_sampling
    from samebits.inference.sampling import Sampling

    sampling = Sampling(arguments.temperature, arguments.top_k, arguments.top_p, arguments.seed)
    require_sampling(sampling, arguments.tokens)
    writer = open_writer(_model(arguments))
    print(arguments.prompt, end="", flush=True)
    for piece in writer.pieces(arguments.prompt, arguments.tokens, sampling):
        print(piece, end="", flush=True)
    print()
