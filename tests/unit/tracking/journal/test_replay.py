from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from samebits.base.paths import Project
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.tracking.journal.replay import curves, invalidate_replay, numbers, skipped_before, up_to_date_after

if TYPE_CHECKING:
    from .conftest import Recorded


def write_reports(project: Project) -> None:
    for folder, metrics in (("train", {"val": {"loss": 0.1}}), ("evaluation", {"test": {"accuracy": 0.99}})):
        (project.reports / folder).mkdir(parents=True)
        (project.reports / folder / "metrics.json").write_text(json.dumps(metrics))
    (project.reports / "train" / "curves.csv").write_text("step,epoch,val/loss\n5,0,0.1\n")


def test_numbers_of_a_metrics_file(tmp_path: Path) -> None:
    value = {"accuracy": 0.9, "ok": True, "n": 3, "none": None, "name": "x", "list": [1], "ci": {"low": 0.8}}
    (tmp_path / "m.json").write_text(json.dumps(value))
    assert numbers(tmp_path / "m.json") == {"accuracy": 0.9, "n": 3.0, "ci/low": 0.8}


def test_curves_leave_out_empty_cells_and_what_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("step,epoch,a,b\n1,0,0.5,\n2,0,,\n3,1,nan,2\n")
    assert list(curves(tmp_path / "c.csv")) == [(1, {"a": 0.5}), (3, {"b": 2.0})]


@pytest.mark.parametrize(
    ("stage", "replayed"),
    [("prepare", []), ("train", []), ("evaluate", ["train"]), ("export", ["train", "evaluate"]), ("own", [])],
)
def test_what_lies_before_a_stage_is_replayed(
    project: Project, recorded: Recorded, stage: str, replayed: list[str]
) -> None:
    write_reports(project)
    events = skipped_before(project, recorded.record, stage)
    found = [name.rpartition(".")[2] for event in events if event["k"] == "tags" for name in event["v"]]
    assert found == replayed


def test_a_stage_that_ran_in_the_record_is_not_replayed(project: Project, recorded: Recorded) -> None:
    write_reports(project)
    recorded.finished_stage("train")
    events = skipped_before(project, recorded.record, "export")
    assert [event["v"] for event in events if event["k"] == "summary"] == [{"test/accuracy": 0.99}]


def test_a_stage_is_replayed_once(project: Project, recorded: Recorded) -> None:
    write_reports(project)
    assert skipped_before(project, recorded.record, "evaluate")
    assert skipped_before(project, recorded.record, "evaluate") == []
    assert [e["v"] for e in skipped_before(project, recorded.record, "export") if e["k"] == "summary"] == [
        {"test/accuracy": 0.99}
    ]


LOCK = """
schema: '2.0'
stages:
  evaluate:
    cmd: python stages/evaluate.py
    deps:
    - path: models
      hash: md5
      md5: {models}
    params:
      params.yaml:
        evaluate:
          top_k: 3
        nested.rate: 1e-3
"""


def test_a_stage_that_runs_although_it_was_replayed_says_so(project: Project, recorded: Recorded) -> None:
    write_reports(project)
    assert invalidate_replay(project, recorded.record, "train") == []
    assert skipped_before(project, recorded.record, "evaluate")
    (event,) = invalidate_replay(project, recorded.record, "train")
    assert event["v"] == {"samebits.replayed.train": "no: it ran after all"}
    assert skipped_before(project, recorded.record, "evaluate")


@pytest.fixture
def locked(project: Project) -> Project:
    """A workspace in which nothing changed since `evaluate` ran."""
    write_reports(project)
    (project.workspace / "models").mkdir()
    (project.workspace / "models" / "m").write_text("weights")
    project.params_file.write_text("evaluate: {top_k: 3}\nnested: {rate: 0.001}\nother: 1\n")
    (project.workspace / "dvc.lock").write_text(LOCK.format(models=dvc_md5(project.workspace / "models")))
    return project


def test_numbers_of_a_later_stage_that_stays_up_to_date_are_replayed(locked: Project, recorded: Recorded) -> None:
    events = up_to_date_after(locked, recorded.record, "train")
    assert [event["v"] for event in events if event["k"] == "summary"] == [{"test/accuracy": 0.99}]
    assert up_to_date_after(locked, recorded.record, "export") == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("models/m", "other weights"),
        ("models/more", "x"),
        ("params.yaml", "evaluate: {top_k: 5}\nnested: {rate: 0.001}\n"),
        ("params.yaml", "evaluate: {top_k: 3}\n"),
        ("dvc.lock", "stages: {}"),
        ("dvc.lock", "[: broken"),
    ],
)
def test_a_later_stage_that_will_run_is_not_replayed(locked: Project, recorded: Recorded, file: str, text: str) -> None:
    (locked.workspace / file).write_text(text)
    assert up_to_date_after(locked, recorded.record, "train") == []
