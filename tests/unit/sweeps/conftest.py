"""A project folder with the committed params.yaml and dvc.yaml, and sweep files written by the test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from samebits.base.paths import Project
from tests.helpers.workspace import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name in ("params.yaml", "dvc.yaml", "packages.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return Project(tmp_path, tmp_path)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a sweep's file."""

    def write(text: str) -> Path:
        path = tmp_path / "lr.yaml"
        path.write_text(text)
        return path

    return write
