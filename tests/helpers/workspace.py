"""A folder with the code and small parameters, in which single stages run; no git, no DVC."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from samebits.base.files import sha256_file
from samebits.base.paths import Project
from samebits.data.fetching.catalog import Card
from samebits.data.readers.reader import Source
from samebits.params.data import DataParams
from samebits.pipeline.recipes import merge

ROOT = Path(__file__).resolve().parents[2]

MODEL = {"name": "convnet", "stages": [[8, 8], [16, 16]]}

AUTHOR = {f"GIT_{role}_{what}": "t@localhost" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
"""Who commits, as environment. DVC asks for that as well, and reads other configuration files than git does."""

SMALL: dict[str, Any] = {
    "train": {
        "epochs": 2,
        "batch_size": 64,
        "threads": 1,
        "ema_decay": 0.9,
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
    },
    "evaluate": {"bootstrap": 100},
    "runtime": {"checkpoint_seconds": 0.2, "tracking": {"enabled": False}},
}
"""Overrides of params.yaml for runs that take seconds."""


def card_source(card: Card, files: Mapping[str, Path]) -> Source:
    """A card's files as a reader gets them."""
    return Source(card.name, DataParams(), card, files, None, Path("scratch"), print)


def about(card: Card) -> dict[str, Any]:
    """What dataset.json says about a card's data."""
    return {"name": card.name, "title": card.title, "licence": card.licence, "homepage": card.homepage, "files": []}


def set_params(workspace: Path, override: Mapping[str, Any], replace: Mapping[str, Any] | None = None) -> None:
    """Merge `override` into params.yaml of a workspace, and put whole sections of `replace` in."""
    yaml = YAML()
    file = workspace / "params.yaml"
    params = yaml.load(file.read_text())
    params.update(replace or {})
    merge(params, override)
    with file.open("w") as stream:
        yaml.dump(params, stream)


def make_code(folder: Path) -> Path:
    """A project in `folder` without prepared data: the code, the parameters, the catalogue; no git, no DVC."""
    folder.mkdir(parents=True, exist_ok=True)
    here = (ROOT / name for name in ("custom", "src", "stages", "recipes"))
    for name in (each.name for each in here if each.is_dir()):  # one's own project may have no recipes
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("params.yaml", "dvc.yaml", "packages.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("catalog", "raw"):
        shutil.copytree(ROOT / "data" / name, folder / "data" / name)
    shutil.copy(ROOT / "data" / "corrections.csv", folder / "data")
    return folder


def make_start(folder: Path) -> Project:
    """A project in `folder` to start in: params.yaml, recipes, and folders for data; no stages, no code."""
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    (folder / "data" / "raw").mkdir(parents=True)
    (folder / "data" / "catalog").mkdir()
    return Project(folder, folder)


def make_workspace(folder: Path, prepared: Path, quick: bool = True) -> Path:
    """A project in `folder` with the prepared data, and small parameters if `quick`."""
    make_code(folder)
    shutil.copytree(prepared, folder / "data" / "prepared")
    if quick:
        set_params(folder, SMALL, replace={"model": MODEL})
    return folder


def stage_environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would tie a stage to it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_", "SAMEBITS_LAUN"))}
    return kept | extra


def run_stage(
    workspace: Path, stage: str, *, timeout: float = 240, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a stage's script as DVC would, in a process of its own."""
    return subprocess.run(
        [sys.executable, f"stages/{stage}.py"],
        cwd=workspace,
        env=stage_environment(**environment),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


OUTPUTS = ("models/checkpoint/model.safetensors", "models/checkpoint/config.json", "reports/train/curves.csv",
           "reports/train/metrics.json")  # fmt: skip


def outputs(workspace: Path) -> dict[str, str]:
    return {name: sha256_file(workspace / name) for name in OUTPUTS}


def tracked_files() -> list[Path]:
    """Files that git has or would take; in a copy without git, everything outside the ignored folders."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip("no git work tree")
    return [path for name in result.stdout.split("\0") if name and (path := ROOT / name).is_file()]
