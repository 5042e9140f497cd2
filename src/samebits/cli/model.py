"""What `--model` names: an exported file, or a version of MLflow's registry."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from samebits.base.errors import UserError
from samebits.cli.options import project_here

if TYPE_CHECKING:
    from samebits.serving.source import RegisteredModel


def add_model_option(command: argparse.ArgumentParser) -> None:
    """`--model`, of a command that uses an exported model."""
    command.add_argument(
        "--model",
        help="an exported ONNX file, or models:/NAME@champion of MLflow's registry (default: models/export/model.onnx)",
    )


def model_of(arguments: argparse.Namespace) -> Path:
    """The model that is named, else that of the project around the working folder."""
    return Path(arguments.model) if arguments.model else project_here().exported / "model.onnx"


def registry_of(model: Path) -> str:
    """MLflow's tracking URI for a registered model; empty for a file."""
    # Whatever more is imported for it, a file does not wait for.
    if not model.as_posix().startswith("models:"):
        return ""
    from samebits.tracking.tracking_uri import pick_target

    if named := os.environ.get("MLFLOW_TRACKING_URI", "").strip():
        return named
    try:
        return pick_target(project_here()).uri
    except UserError as error:
        raise UserError(error.problem, f"{error.fix}; or set MLFLOW_TRACKING_URI to the registry's") from None


@dataclass(frozen=True)
class Fetched:
    """A model that can be opened.

    Attributes:
        file: its ONNX file, with what belongs to it beside it.
        registered: where it is of a registry, and the version.
    """

    file: Path
    registered: tuple[RegisteredModel, str] | None = None


@contextmanager
def fetched(arguments: argparse.Namespace) -> Iterator[Fetched]:
    """The model; a registered one is a copy, which is there as long as the context lasts.

    Raises:
        UserError: if it cannot be had; one about the copy names the model as the user did.
    """
    model = model_of(arguments)
    registry = registry_of(model)
    if not registry:
        yield Fetched(model)
        return
    from samebits.serving.source import RegisteredModel

    source = RegisteredModel(model.as_posix(), registry)
    version = source.mark()
    with source.fetch(version) as file:
        try:
            yield Fetched(file, (source, version))
        except UserError as error:
            raise UserError(error.problem.replace(str(file.parent), model.as_posix()), error.fix) from None
