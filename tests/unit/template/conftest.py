"""A project that `samebits new` made, and later releases of samebits, as the modules under test see them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from samebits import __version__
from samebits.base.paths import Project
from samebits.pipeline import packages, release
from samebits.template import render, update
from samebits.template.new import new
from tests.helpers.git_repository import git
from tests.helpers.workspace import AUTHOR


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project with its first commit; to be copied, and left as it is."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**AUTHOR, "GIT_CONFIG_GLOBAL": os.devnull}.items():
            patch.setenv(name, value)
        new(folder / "pets", say=lambda _: None)
    return folder / "pets"


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    shutil.copytree(made, tmp_path / "pets")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path / "pets")
    return Project(tmp_path / "pets", tmp_path / "pets")


@pytest.fixture
def commit(project: Project) -> Callable[[], None]:
    def do() -> None:
        git(project.workspace, "add", "-A")
        git(project.workspace, "commit", "-q", "-m", "edits")

    return do


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let another release be installed: its number, files that it has otherwise (None: not at all), stages with other
    code, another lock."""
    texts, code, lock = render.render("pets"), release.release_code(), render.lock_text()

    def put(
        version: str, files: dict[str, str | None] | None = None, stages: tuple[str, ...] = (), more: str = ""
    ) -> None:
        theirs = {path: text for path, text in {**texts, **(files or {})}.items() if text is not None}
        digests = {**code, **dict.fromkeys(stages, version)}
        for module in (update, packages):
            monkeypatch.setattr(module, "__version__", version)
        monkeypatch.setattr(update, "render", lambda name: theirs)
        monkeypatch.setattr(update, "lock_text", lambda: lock + more)
        monkeypatch.setattr(packages, "release_code", lambda: digests)
        monkeypatch.setattr(packages, "code_digest_of", lambda key: packages.param_at(digests, key))

    put(__version__)
    return put
