"""The code of a stage among its deps in dvc.yaml, and a digest of it and of the packages that it uses."""

from __future__ import annotations

import hashlib
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.pipeline.dvc_yaml import stage_files
from samebits.pipeline.packages import stage_packages

CODE = {".py", ".j2"}
"""Suffixes of deps that are code."""


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
    """SHA-256 over the paths and contents of the stage's code and the releases of its packages, hex.

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
                "commit it (a queued experiment sees only what git tracks: git add -N), or fix dvc.yaml",
            ) from None
    for name, version in sorted(stage_packages(workspace, stage).items()):
        digest.update(f"{name}=={version}\n".encode())
    return digest.hexdigest()
