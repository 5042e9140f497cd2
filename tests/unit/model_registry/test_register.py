"""Versions, aliases and rollback on a real SQLite store; the model is a small real ONNX file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.model_registry.register import Registry, register
from tests.helpers.registry import go_through_the_gate, make_project, offer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return make_project(tmp_path / "home", monkeypatch)


def test_versions_aliases_gate_and_rollback(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    go_through_the_gate(project, monkeypatch, tmp_path / "downloads")

    # The repository moves, and a copy is made of it: the files are still found.
    for move in (shutil.copytree, shutil.move):
        target = tmp_path / move.__name__
        move(str(project.home), str(target))
        monkeypatch.chdir(target)
        moved = Registry(Project(target, target), "m")
        version = moved.by_alias("champion")
        assert version is not None
        out = tmp_path / f"from-{move.__name__}"
        out.mkdir()
        assert moved.download(version, out).is_file()


def test_wrong_names_and_metrics_are_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(project, monkeypatch, 1, 0.9)
    with pytest.raises(UserError, match="no name for a registered model"):
        register(project, name="a/b", say=print)
    with pytest.raises(UserError, match="no number speed"):
        register(project, name="m", metric="speed", say=print)
