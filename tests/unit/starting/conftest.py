"""A project to start in: params.yaml, recipes, and a folder for data; nothing is trained unless a test does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from samebits.base.paths import Project
from samebits.params.data import DataParams
from samebits.starting.found import Asked, Proposal, look_at
from samebits.starting.kinds import propose
from tests.helpers.workspace import make_start


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return make_start(tmp_path)


@pytest.fixture
def raw(project: Project) -> Path:
    return project.workspace / "data" / "raw"


@pytest.fixture
def chosen(project: Project) -> Callable[..., Proposal]:
    """What is proposed for data/raw/NAME."""

    def look(name: str, **asked: str) -> Proposal:
        shown = f"data/raw/{name}"
        with look_at(project.workspace / shown, shown, DataParams(), project) as found:
            return propose(found, Asked(**asked))  # type: ignore[arg-type]

    return look
