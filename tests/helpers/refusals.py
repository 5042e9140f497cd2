"""A source that the stage `prepare` refuses: what it says, and that nothing is left behind."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.data.preparation.prepare import prepare
from samebits.params.data import DataParams
from samebits.params.runtime import RuntimeParams


def raw_folder(home: Path) -> Path:
    """`data/raw` of a project."""
    folder = home / "data" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def refused(home: Path, data: DataParams) -> UserError:
    """The stage's error for a source below `data/raw` of this project."""
    project = Project(home, home)
    context = SimpleNamespace(project=project, runtime=RuntimeParams(progress="off"), say=lambda line: None)
    with pytest.raises(UserError) as caught:
        prepare(data, context=context)  # type: ignore[arg-type]
    assert caught.value.fix
    assert not project.prepared.exists()
    assert not list(project.state.glob("*"))
    return caught.value
