"""What dvc.yaml says of a stage: its code, hashed before it works and again when it is done, its inputs and outputs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.params.read import read_yaml

CODE = {".py", ".j2"}
"""Suffixes of deps that are code."""


def stage_files(workspace: Path, stage: str) -> tuple[list[Path], list[Path]]:
    """What dvc.yaml says a stage reads and writes: its deps, and its outs, metrics and plots."""
    entry = read_yaml(workspace / "dvc.yaml").get("stages", {}).get(stage, {})
    params = read_yaml(workspace / "params.yaml") if "${" in str(entry) else {}
    written = [
        # An out with options is a mapping of its path to them.
        next(iter(each)) if isinstance(each, dict) else each
        for kind in ("outs", "metrics", "plots")
        for each in entry.get(kind, [])
    ]
    deps = [_interpolated(path, params) for path in entry.get("deps", [])]
    return [workspace / path for path in deps], [workspace / path for path in written]


def _interpolated(path: str, params: Mapping[str, Any]) -> str:
    """A path in which DVC puts values of params.yaml: `models/${model.name}.py`."""

    def value(found: re.Match[str]) -> str:
        place: Any = params
        for key in found[1].split("."):
            place = place.get(key) if isinstance(place, Mapping) else None
        return str(place)

    return re.sub(r"\$\{([\w.]+)\}", value, path)


def code_files(workspace: Path, stage: str) -> list[Path]:
    """The files of code among the stage's deps in dvc.yaml (folders are searched), sorted."""
    found: set[Path] = set()
    for path in stage_files(workspace, stage)[0]:
        if path.is_dir() and any(path.is_relative_to(workspace / folder) for folder in ("src", "custom")):
            found |= {file for file in path.rglob("*") if file.suffix in CODE}
        elif path.suffix in CODE or (path.is_relative_to(workspace / "src") and not path.exists()):
            found.add(path)
    return sorted(found)


def code_digest(workspace: Path, stage: str) -> str:
    """SHA-256 over the paths and contents of the stage's code, hex.

    Raises:
        UserError: if a file that dvc.yaml lists is missing.
    """
    digest = hashlib.sha256()
    for path in code_files(workspace, stage):
        try:
            digest.update(f"{path.relative_to(workspace).as_posix()} {sha256_file(path)}\n".encode())
        except FileNotFoundError:
            raise UserError(
                f"{path} is listed in dvc.yaml and does not exist",
                "commit it (a queued experiment sees only what git tracks: git add -N), or mend dvc.yaml",
            ) from None
    return digest.hexdigest()
