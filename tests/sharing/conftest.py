"""A team's small project, copied for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.shared import shared
from tests.helpers.team import Person, Team


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return Team.of(Person(shared(tmp_path_factory, "sharing", Team) / "ann"))


@pytest.fixture
def new_team(template: Team, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Team]:
    return lambda: Team.copied(template, tmp_path_factory.mktemp("team"))


@pytest.fixture
def team(new_team: Callable[[], Team]) -> Team:
    return new_team()


@pytest.fixture
def local(team: Team) -> Path:
    """A folder as the remote of `team`."""
    folder = team.base / "store"
    folder.mkdir()
    team.add_remote(str(folder))
    return folder
