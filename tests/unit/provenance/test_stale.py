"""Stages whose results do not belong to what is here, by DVC's own eyes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from dvc.repo import Repo

from samebits.pipeline.dvc_yaml import PipelineStage
from samebits.provenance import stale
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


@pytest.fixture
def looks(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How often DVC was asked, in a project with a state folder in which all files lie for a while."""
    asked: list[int] = []
    look = stale._look

    def counting(folder: Path, pipeline: Mapping[str, PipelineStage]) -> dict[str, str]:
        asked.append(1)
        return look(folder, pipeline)

    monkeypatch.setattr(stale, "_look", counting)
    monkeypatch.setattr(stale, "_SETTLED_NS", -(10**18))
    (workspace / ".samebits").mkdir()
    yield asked
    shutil.rmtree(workspace / ".samebits")


@pytest.mark.parametrize("path", ["data/prepared/dataset.json", "params.yaml", "code.py", "models/export/more.onnx"])
def test_dvc_is_asked_again_once_a_file_has_changed(workspace: Path, looks: list[int], path: str) -> None:
    expected = stale_stages(workspace)
    assert stale_stages(workspace) == expected == {}
    assert len(looks) == 1
    file = workspace / path
    text = FILES.get(path, "")
    file.unlink(missing_ok=True)
    file.write_text(text.replace("mnist", "irises") + "\n")
    changed = stale_stages(workspace)
    assert changed
    assert len(looks) == 2
    assert list(stale_stages(workspace).items()) == list(changed.items()), "kept in the order of dvc.yaml"
    assert len(looks) == 2
    file.unlink()
    assert stale_stages(workspace) or path.endswith("more.onnx")
    assert len(looks) == 3


def test_an_answer_about_files_just_written_is_not_kept(
    workspace: Path, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stale, "_SETTLED_NS", 10**18)
    for _ in range(2):
        stale_stages(workspace)
    assert len(looks) == 2
    assert not (workspace / ".samebits/status.json").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"seen": 1}', '{"seen": "", "stale": 5}'])
def test_a_damaged_note_is_none(workspace: Path, looks: list[int], text: str) -> None:
    (workspace / ".samebits/status.json").write_text(text)
    assert stale_stages(workspace) == {}
    assert len(looks) == 1


def test_where_a_folder_is_linked_dvc_is_asked_each_time(workspace: Path, looks: list[int], tmp_path: Path) -> None:
    (workspace / "models/export/linked").symlink_to(tmp_path)
    try:
        for _ in range(2):
            stale_stages(workspace)
    finally:
        (workspace / "models/export/linked").unlink()
    assert len(looks) == 2
