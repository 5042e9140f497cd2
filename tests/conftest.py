"""Fixtures over real MNIST: its files through the project's own catalogue and cache, a small cut of it, a workspace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from samebits.data.fetching.catalog import Card, load_card
from samebits.data.fetching.fetch import fetch
from samebits.data.preparation.prepare import split_and_encode
from samebits.data.preparation.shards import write_prepared
from samebits.data.readers.image.idx import read
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.reader import Source
from samebits.params.data import DataParams
from samebits.pipeline.recipes import merge
from tests.helpers.postgres import Postgres

ROOT = Path(__file__).resolve().parents[1]

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


@pytest.fixture(scope="session")
def mnist_card() -> Card:
    return load_card(ROOT / "data" / "catalog", "mnist")


@pytest.fixture(scope="session")
def mnist_files(mnist_card: Card) -> dict[str, Path]:
    """The four files of MNIST, downloaded once a user (about 11 MB) and verified."""
    return dict(fetch(mnist_card, say=print))


@pytest.fixture(scope="session")
def small_mnist(mnist_card: Card, mnist_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder with the first 3,000 training and 500 test images."""
    raw = read(card_source(mnist_card, mnist_files))
    keep = np.r_[0:3000, 60_000:60_500]
    cut = RawImages(
        ids=[raw.ids[row] for row in keep],
        origins=[raw.origins[row] for row in keep],
        hashes=raw.hashes[keep],
        targets=raw.targets[keep],
        classes=raw.classes,
        given=[raw.given[row] for row in keep],
        parts=[raw.read(keep)],
    )
    folder = tmp_path_factory.mktemp("small") / "prepared"
    encoded = split_and_encode(cut, DataParams(validation_fraction=0.1))
    write_prepared(folder, about(mnist_card), encoded, shard_mib=0.5)
    return folder


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


def make_workspace(folder: Path, prepared: Path, quick: bool = True) -> Path:
    """A project in `folder`: the code, the prepared data, small parameters if `quick`; no git, no DVC."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("custom", "src", "stages", "recipes"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("params.yaml", "dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("catalog", "raw"):
        shutil.copytree(ROOT / "data" / name, folder / "data" / name)
    shutil.copytree(prepared, folder / "data" / "prepared")
    if quick:
        set_params(folder, SMALL, replace={"model": MODEL})
    return folder


def stage_environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would tie a stage to it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_", "SAMEBITS_LAUN"))}
    return kept | extra


@pytest.fixture
def workspace(tmp_path: Path, small_mnist: Path) -> Path:
    return make_workspace(tmp_path / "workspace", small_mnist)


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


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that lives as long as the test."""
    server = Postgres()
    yield server
    server.close()
