"""Repositories in which the pipeline ran once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.helpers.repository import Repository, make_repository


@pytest.fixture(scope="session")
def committed(finished: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A copy of `finished` in which its results are committed. Tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("committed") / "project"
    shutil.copytree(finished.folder, folder, symlinks=True)
    repository = Repository(folder)
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", "results")
    return repository


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, mnist_files: dict[str, Path]) -> Repository:
    """A repository in which `dvc repro` ran once."""
    assert mnist_files
    repository = make_repository(tmp_path_factory.mktemp("pipeline") / "project")
    done = repository.dvc("repro")
    assert done.returncode == 0, done.stdout + done.stderr
    return repository
