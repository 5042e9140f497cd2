"""Repositories in which the pipeline ran once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.repository import Repository, make_repository
from tests.helpers.senders import settle
from tests.helpers.shared import shared


@pytest.fixture(scope="session")
def new_repository(mnist_cut: Path) -> Callable[[Path], Repository]:
    """Makes a repository, with MNIST's cut as its data, in a folder that is not there yet."""
    return lambda folder: make_repository(folder, card=mnist_cut / "mnist.yaml")


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory, new_repository: Callable[[Path], Repository]) -> Repository:
    """A repository in which `dvc repro` ran once and its results are committed; to be copied, and left as it is."""

    def make(folder: Path) -> None:
        repository = new_repository(folder)
        done = repository.dvc("repro")
        assert done.returncode == 0, done.stdout + done.stderr
        settle(folder)
        repository.git("add", "-A")
        repository.git("commit", "-q", "-m", "results")

    return Repository(shared(tmp_path_factory, "committed", make))


@pytest.fixture(scope="session")
def finished(committed: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """As `dvc repro` left it, with nothing committed since; tests may run commands in it that change no result."""
    folder = tmp_path_factory.mktemp("finished") / "project"
    shutil.copytree(committed.folder, folder, symlinks=True)
    repository = Repository(folder)
    repository.git("reset", "-q", "HEAD~1")
    return repository
