"""Stages whose results do not belong to what is here, by DVC's own eyes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from dvc.repo import Repo

from samebits.provenance.stale import stale_model, stale_stages

DVC = """
stages:
  prepare: {cmd: x, deps: [code.py], params: [data], outs: [data/prepared]}
  train: {cmd: x, deps: [data/prepared, train.py], outs: [models/checkpoint]}
  evaluate: {cmd: x, deps: [models/checkpoint], metrics: [metrics.json: {cache: false}]}
  export: {cmd: x, deps: [models/checkpoint], outs: [models/export]}
"""
FILES = {
    "dvc.yaml": DVC, "params.yaml": "data: mnist\nother: 1\n", "code.py": "1", "train.py": "2",
    "data/prepared/dataset.json": "3", "models/checkpoint/m": "4", "metrics.json": "5", "models/export/model.onnx": "6",
}  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stages are up to date."""
    workspace = tmp_path_factory.mktemp("stale") / "project"
    for name, text in FILES.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(text)
    with contextlib.chdir(workspace), Repo.init(no_scm=True) as repo:
        repo.commit(force=True)
    return workspace


@pytest.fixture
def workspace(template: Path) -> Path:
    """The same, which a test may change; the next one finds it as it was."""
    for name, text in FILES.items():
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        if not (template / name).is_file() or (template / name).read_text() != text:
            (template / name).unlink(missing_ok=True)  # it may be a link into the cache
            (template / name).write_text(text)
    return template


def test_nothing_is_stale_after_a_run(workspace: Path) -> None:
    assert stale_stages(workspace) == {}
    assert stale_model(workspace, workspace / "models/export/model.onnx") == ""


def test_after_a_failed_training_on_other_data(workspace: Path) -> None:
    (workspace / "data/prepared/dataset.json").unlink()
    (workspace / "data/prepared/dataset.json").write_text("of other data")
    (workspace / "models/checkpoint/m").unlink()
    (workspace / "models/checkpoint").rmdir()
    stale = stale_stages(workspace)
    assert list(stale) == ["prepare", "train", "evaluate", "export"]
    assert stale["train"] == "has not run on these data (data/prepared)"
    assert stale["evaluate"] == "has not run on what is here now (models/checkpoint)"


def test_a_changed_parameter_makes_all_later_stages_stale(workspace: Path) -> None:
    (workspace / "params.yaml").write_text("data: iris\n")
    assert stale_stages(workspace) == {
        "prepare": "has not run on what is here now (params.yaml: data)",
        "train": "has not run on results of prepare",
        "evaluate": "has not run on results of train",
        "export": "has not run on results of train",
    }


def test_a_model_of_other_code_is_told(workspace: Path) -> None:
    (workspace / "train.py").write_text("edited")
    why = stale_model(workspace, workspace / "models/export/model.onnx")
    assert why.startswith("models/export/model.onnx is not of the data, code and parameters here: train has not run")
    assert stale_model(workspace, workspace / "metrics.json").startswith("metrics.json is not of")
    assert stale_model(workspace, workspace / "train.py") == "", "no stage writes it"
    assert stale_model(workspace / "models", workspace / "models/export/model.onnx") == "", "no project: nobody knows"
