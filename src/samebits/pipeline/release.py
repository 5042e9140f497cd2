"""The files of a release of samebits beside its modules: pipeline, parameters, recipes, cards; and digests of its code.

In a clone with the package inside they are the clone's own; a wheel carries copies of them in `samebits/release`
(pyproject.toml lists them under `tool.samebits`, setup.py copies them). A project is made from them (`template`).

A project that installs the package cannot depend on its modules as files: they lie outside. So its packages.yaml has a
digest of the modules of each stage, its dvc.yaml lists that digest among the stage's parameters, and a stage starts
only with the code that the file names (`pipeline.packages`).
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.params.yaml_file import read_yaml

_PACKAGE = Path(__file__).resolve().parents[1]
_SHIPPED = _PACKAGE / "release"
SOURCE = "src/samebits/"
"""How the clone's dvc.yaml names modules."""

_MODEL = f"{SOURCE}models/${{model.name}}.py"
_DIGITS = 16
_COMPILED = {".pyc", ".pyo", ".so", ".pyd", ".dll", ".dylib"}
"""Made from the other files, otherwise on each system."""


def release_root() -> Path:
    """The folder with the release's files: `samebits/release` of a wheel, or the clone around the package."""
    return _SHIPPED if _SHIPPED.is_dir() else _PACKAGE.parents[1]


def release_files() -> list[str]:
    """Paths of the release's files below `release_root`, sorted, with forward slashes.

    Raises:
        UserError: if the package lies neither in a clone nor in what a wheel installed.
    """
    root = release_root()
    if root == _SHIPPED:
        # pip compiles every script that it installs.
        found = [file for file in root.rglob("*") if file.is_file() and file.parent.name != "__pycache__"]
    else:
        try:
            listed = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["samebits"]["release"]
        except (OSError, KeyError, ValueError):
            raise UserError(
                f"{_PACKAGE} has no files for projects: neither a wheel nor a clone", "install samebits again"
            ) from None
        found = [file for pattern in listed for file in root.glob(pattern) if file.is_file()]
    return sorted({file.relative_to(root).as_posix() for file in found})


def release_code() -> dict[str, Any]:
    """Digests of the modules of each stage, and of each model under `models`: hex.

    A stage's is over what the release's dvc.yaml lists for it without the model, which `model.name` picks.
    """
    stages = {name: code_digest_of(name) for name in _stages()}
    models = {
        file.stem: code_digest_of(f"models.{file.stem}") for file in sorted((_PACKAGE / "models").glob("[!_]*.py"))
    }
    return stages | {"models": models}


@cache
def code_digest_of(key: str) -> str:
    """Digest of the installed modules of a stage (`train`) or a model (`models.convnet`); empty for an unknown one."""
    if key.startswith("models."):
        parts = [f"models/{key.partition('.')[2]}.py"]
    else:
        deps = _stages().get(key, {}).get("deps", [])
        parts = [dep.removeprefix(SOURCE) for dep in deps if dep.startswith(SOURCE) and dep != _MODEL]
    digest = hashlib.sha256()
    files = sorted({file.relative_to(_PACKAGE).as_posix() for part in parts for file in _files(_PACKAGE / part)})
    for file in files:
        digest.update(f"{file} {sha256_file(_PACKAGE / file)}\n".encode())
    return digest.hexdigest()[:_DIGITS] if files else ""


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from (each for each in path.rglob("*") if each.is_file() and each.suffix not in _COMPILED)


@cache
def _stages() -> Mapping[str, Any]:
    stages: Mapping[str, Any] = read_yaml(release_root() / "dvc.yaml")["stages"]
    return stages
