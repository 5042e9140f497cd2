"""What must fit together before a model is registered."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.model_registry.candidate import read_candidate
from tests.helpers.locked_stage import DVC, make_locked, write_lock


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(make_locked(tmp_path), tmp_path)


def refusal(project: Project) -> str:
    with pytest.raises(UserError) as error:
        read_candidate(project)
    assert error.value.fix
    return error.value.problem


def test_a_workspace_as_locked_is_asked_for_its_model(project: Project) -> None:
    assert "model.onnx does not exist" in refusal(project)


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("mlp.py", "edited", r"train: its code, data or parameters changed since it ran (mlp.py)"),
        ("params.yaml", "model: mlp\nrate: 1\n", "changed since it ran (params.yaml: rate)"),
        ("weights", "edited", "weights is not what train wrote"),
        ("dvc.yaml", DVC + "  export: {cmd: x}\n", "export: never ran here"),
    ],
)
def test_what_changed_since_the_run_is_named(file: str, text: str, problem: str, project: Project) -> None:
    (project.workspace / file).write_text(text)
    assert problem in refusal(project)


def test_a_pair_that_never_ran_is_refused(project: Project) -> None:
    (project.workspace / "mlp.py").write_text("of another branch")
    write_lock(project.workspace)
    assert "never ran together" in refusal(project)
    assert "train: its run had another mlp.py" in refusal(project)


def test_what_lies_unread_in_a_folder_changes_nothing(project: Project) -> None:
    """Python leaves `__pycache__` in `custom` when it imports a model of one's own."""
    (project.workspace / ".dvcignore").write_text("__pycache__\n")
    (project.workspace / "data" / "__pycache__").mkdir()
    (project.workspace / "data" / "__pycache__" / "own.pyc").write_text("x")
    assert "model.onnx does not exist" in refusal(project)
