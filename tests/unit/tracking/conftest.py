"""A store in memory that fails on demand, and records to deliver to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.paths import Project
from samebits.tracking.journal.record import ProcessId
from tests.helpers.memory_store import DEAD, MemoryStore, Recorded


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(workspace=tmp_path, home=tmp_path)


@pytest.fixture
def dead() -> ProcessId:
    """A process of this machine that is gone, though its pid is in use."""
    return DEAD


@pytest.fixture
def recorded(project: Project, dead: ProcessId) -> Recorded:
    return Recorded(project, dead)
