from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from samebits.base.paths import Project
from samebits.pipeline.fingerprint import Fingerprint, fingerprint_of

DVC = """
stages:
  prepare: {cmd: p, deps: [src/samebits/data.py, stages/prepare.py]}
  train: {cmd: t, deps: [src/samebits/loop.py, stages/train.py, custom]}
"""
PARAMS = {"data": {"source": "mnist"}, "seed": 0, "runtime": {"workers": 1, "device": "cpu"}}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name in (
        "src/samebits/data.py",
        "src/samebits/loop.py",
        "src/samebits/cli/main.py",
        "stages/prepare.py",
        "stages/train.py",
        "custom/note.txt",
        "data/catalog/mnist.yaml",
        "data/catalog/other.yaml",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    (tmp_path / "dvc.yaml").write_text(DVC)
    return Project(tmp_path, tmp_path)


def changed(before: Fingerprint, after: Fingerprint) -> list[str]:
    return [stage for stage in ("prepare", "train") if not before.same_for(stage, after)]


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("src/samebits/cli/main.py", []),
        ("README.md", []),
        ("custom/note.txt", []),
        ("data/catalog/other.yaml", []),
        ("src/samebits/loop.py", ["train"]),
        ("custom/own.py", ["train"]),
        ("stages/prepare.py", ["prepare"]),
        ("data/catalog/mnist.yaml", ["prepare", "train"]),
    ],
)
def test_of_the_code_only_what_can_change_the_stage_counts(project: Project, file: str, stages: list[str]) -> None:
    before = fingerprint_of(project, PARAMS)
    (project.workspace / file).write_text("2")
    after = fingerprint_of(project, PARAMS)
    assert changed(before, after) == stages
    assert (after.whole != before.whole) == bool(stages)


def test_parameters_count_and_of_runtime_only_what_can_change_bits(project: Project) -> None:
    base = fingerprint_of(project, PARAMS)
    assert fingerprint_of(project, PARAMS | {"runtime": {"workers": 4, "device": "cpu"}}) == base
    for other in ({"seed": 1}, {"runtime": {"device": "cuda"}}):
        assert changed(base, fingerprint_of(project, PARAMS | other)) == ["prepare", "train"]


def test_without_dvc_yaml_or_a_listed_file_there_is_a_fingerprint(project: Project) -> None:
    (project.workspace / "stages" / "train.py").unlink()
    assert fingerprint_of(project, PARAMS).code["train"] == ""
    (project.workspace / "dvc.yaml").unlink()
    assert fingerprint_of(project, PARAMS).code == {}


def test_it_is_kept_as_plain_values(project: Project) -> None:
    known = fingerprint_of(project, PARAMS)
    assert Fingerprint(**dataclasses.asdict(known)) == known
