"""The tiny project of tests.helpers.image_project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samebits.base.paths import Project
from tests.helpers.image_project import make_context, make_project


@pytest.fixture(scope="session")
def contexts() -> Callable[[Path], Any]:
    """`make_context`, for fixtures of a wider scope than a test."""
    return make_context


@pytest.fixture
def tiny_context(tmp_path: Path) -> Any:
    return make_context(tmp_path / "project")


@pytest.fixture
def tiny_project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")
