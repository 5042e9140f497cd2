"""dvc.lock as commands in order, and what explains other bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.pipeline.dvc_lock import drift, inputs_of, overlap, pick_stages, read_lock

LOCK = """
schema: '2.0'
stages:
  last: {{cmd: [one, two], deps: [{{path: mid/file, md5: m}}], outs: [{{path: end, md5: e.dir}}]}}
  first:
    cmd: go
    deps: [{{path: code.py, md5: {code}}}]
    params: {{params.yaml: {{train: {{lr: 0.1}}, seed: 0}}}}
    outs: [{{path: raw, md5: r}}]
  middle: {{cmd: go, deps: [{{path: raw, md5: r}}], outs: [{{path: mid, md5: m.dir}}, {{path: metrics.json, md5: j}}]}}
"""


CIRCLE = """
stages:
  a: {cmd: x, deps: [{path: b}], outs: [{path: a}]}
  b: {cmd: x, deps: [{path: a}], outs: [{path: b}]}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "code.py").write_text("x = 1\n")
    (tmp_path / "params.yaml").write_text("seed: 0\ntrain: {lr: 0.1}\n")
    (tmp_path / "dvc.lock").write_text(LOCK.format(code=dvc_md5(tmp_path / "code.py")))
    return tmp_path


def test_stages_follow_what_they_read(workspace: Path) -> None:
    stages = read_lock(workspace)
    assert [stage.name for stage in stages] == ["first", "middle", "last"]
    assert stages[2].commands == ("one", "two")
    assert stages[1].outs == {"mid": "m.dir", "metrics.json": "j"}


def test_a_stage_alone_needs_what_the_others_write(workspace: Path) -> None:
    stages = read_lock(workspace)
    (last,) = pick_stages(stages, ["last"])
    assert inputs_of([last], stages) == {"mid/file": "m"}
    assert inputs_of(stages, stages) == {}
    assert pick_stages(stages, []) == stages


@pytest.mark.parametrize(
    ("one", "two", "expected"), [("a", "a", True), ("a/b", "a", True), ("a", "a/b", True), ("ab", "a", False)]
)
def test_overlap(one: str, two: str, expected: bool) -> None:
    assert overlap(one, two) is expected


def test_code_and_parameters_that_are_not_the_locks(workspace: Path) -> None:
    stages = read_lock(workspace)
    assert drift(workspace, stages[0], stages) == []
    (workspace / "code.py").write_text("x = 2\n")
    (workspace / "params.yaml").write_text("seed: 0\ntrain: {lr: 0.2}\n")
    assert drift(workspace, stages[0], stages) == ["code.py", "params.yaml: train"]
    assert drift(workspace, stages[1], stages) == [], "what other stages write is looked at by itself"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "there is no dvc.lock"),
        ("schema: '2.0'\n", "no lock file that DVC wrote"),
        ("stages: [1]\n", "no lock file that DVC wrote"),
        ("stages: {a: {}}\n", "no lock file that DVC wrote"),
        (CIRCLE, "in a circle"),
    ],
)
def test_a_bad_lock_is_a_user_error(text: str | None, problem: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(UserError, match=problem) as error:
        read_lock(tmp_path)
    assert error.value.fix


def test_an_unknown_stage(workspace: Path) -> None:
    with pytest.raises(UserError, match="no stage 'trian'") as error:
        pick_stages(read_lock(workspace), ["trian"])
    assert "first, middle, last" in error.value.fix
