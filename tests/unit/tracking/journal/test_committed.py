"""Whether DVC took the outputs of a record whose execution is over."""

from __future__ import annotations

import pytest

from samebits.base.paths import Project
from samebits.tracking.journal.committed import committed, reopen
from samebits.tracking.journal.experiments import dvc_experiments
from samebits.tracking.journal.journal import new_segment
from samebits.tracking.journal.record import Execution
from tests.helpers.git_repository import git, start_repository
from tests.helpers.memory_store import Recorded

LOCK = """
stages:
  train:
    deps: [{path: data, md5: d1}]
    params: {params.yaml: {train: {lr: 0.1}}}
    outs: [{path: models, md5: m1}]
"""


@pytest.fixture
def by_dvc(recorded: Recorded) -> Recorded:
    recorded.record.executions = [Execution(recorded.process, "", "dvc repro")]
    recorded.record.folder.parents[2].joinpath("params.yaml").write_text("train: {lr: 0.1}\n")
    return recorded


def end(recorded: Recorded, stage: str, status: str = "FINISHED", out: str = "m1") -> None:
    writer = recorded.stage(stage)
    writer.append("tags", v={"dvc.in.data": "d1", "dvc.out.models": out})
    writer.append("end", stage=stage, status=status)
    writer.close()


def look(recorded: Recorded, project: Project) -> bool:
    return committed(recorded.record, project.workspace, project.home)


@pytest.mark.parametrize(
    ("lock", "out", "taken"),
    [
        ("", "m1", False),
        (LOCK, "m1", True),
        (LOCK, "m2", False),
        (LOCK.replace("0.1", "0.2"), "m1", False),
        (LOCK.replace("md5: d1", "md5: d0"), "m1", False),
        ("stages:\n  tr", "m1", False),
    ],
)
def test_the_last_stage_is_held_against_dvc_lock(
    by_dvc: Recorded, project: Project, lock: str, out: str, taken: bool
) -> None:
    end(by_dvc, "train", out=out)
    (project.workspace / "dvc.lock").write_text(lock)
    assert look(by_dvc, project) is taken
    (project.workspace / "dvc.lock").write_text("")
    assert look(by_dvc, project) is taken  # what was once seen stays true
    reopen(by_dvc.record)
    assert not look(by_dvc, project)


def test_a_later_stage_shows_that_dvc_had_those_before(by_dvc: Recorded, project: Project) -> None:
    end(by_dvc, "train")
    new_segment(by_dvc.record.folder, "sender").close()
    assert not look(by_dvc, project)
    by_dvc.stage("evaluate").close()
    assert look(by_dvc, project)


def test_a_stage_started_by_hand_has_nobody_to_take_its_outputs(recorded: Recorded, project: Project) -> None:
    recorded.record.executions = [Execution(recorded.process, "", "python stages/train.py")]
    end(recorded, "train")
    assert look(recorded, project)


def test_of_an_experiment_its_commit_counts(by_dvc: Recorded, project: Project) -> None:
    by_dvc.record.executions = [Execution(by_dvc.process, "brave-fox", "dvc exp run --temp")]
    end(by_dvc, "train")
    assert not look(by_dvc, project)
    commit = start_repository(project.workspace)
    git(project.workspace, "update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/brave-fox", "HEAD")
    by_dvc.record.created -= 10
    assert [(each.name, each.baseline) for each in dvc_experiments(project.home)] == [("brave-fox", commit)]
    assert look(by_dvc, project)
