"""A training that is long enough to be hit, and what it writes when nothing hits it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.interrupt import LONG
from tests.helpers.shared import shared
from tests.helpers.workspace import make_workspace, outputs, run_stage, set_params


@pytest.fixture(scope="session")
def straight(tmp_path_factory: pytest.TempPathFactory, small_mnist: Path) -> dict[str, str]:
    def make(folder: Path) -> None:
        workspace = make_workspace(folder, small_mnist)
        set_params(workspace, LONG)
        assert run_stage(workspace, "train").returncode == 0

    return outputs(shared(tmp_path_factory, "straight", make))


@pytest.fixture
def long(workspace: Path) -> Path:
    set_params(workspace, LONG)
    return workspace
