"""Keep the trained weights below data/raw, where `transfer.weights` of another recipe takes them from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.files import sha256_bytes, sha256_file, write_bytes
from samebits.base.paths import Project
from samebits.checkpoints.checkpoint import WEIGHTS, load_config


def keep_weights(project: Project, name: str, *, replace: bool = False, say: Callable[[str], None] = print) -> None:
    """Copy the checkpoint's weights to `name`, whole or not at all.

    Args:
        name: data/raw/….safetensors, as `transfer.weights` is to say it.
        replace: other weights may lie there.

    Raises:
        UserError: for another place, other weights there, or no checkpoint.
    """
    raw = project.workspace / "data" / "raw"
    target = Path(os.path.normpath(project.workspace / name))
    if not target.is_relative_to(raw) or target.suffix != ".safetensors":
        raise UserError(f"{name} is no .safetensors file below data/raw", "name one, as data/raw/mine.safetensors")
    model = load_config(project.checkpoint).model["name"]
    try:
        weights = (project.checkpoint / WEIGHTS).read_bytes()
        digest = sha256_bytes(weights)
        if target.is_dir():
            raise UserError(f"{name} is a folder", "name another file")
        if target.exists() and not replace and sha256_file(target) != digest:
            raise UserError(f"{name} holds other weights", "name another file, or add --replace")
        write_bytes(target, weights)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}", "fix that; nothing was copied") from None
    shown = target.relative_to(project.workspace).as_posix()
    say(f"{shown} holds the weights of {model}; to start from them, use a recipe that names it, or set in params.yaml")
    say(f"  transfer.weights: {shown}\n  transfer.sha256: {digest}")
