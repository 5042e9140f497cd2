"""Runs of experiments that DVC's run cache answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from samebits.base.paths import Project
from samebits.tracking.journal import spawn
from samebits.tracking.journal.record import read_records
from samebits.tracking.upload.replayed import record_missing
from tests.helpers.git_repository import git, start_repository
from tests.helpers.memory_store import MemoryStore

PARAMS = """
seed: 7
task: {name: classification}
model: {name: mlp}
data: {source: mnist}
train: {optimizer: {name: sgd, lr: 0.1}}
"""
LOCK = """
schema: '2.0'
stages:
  train:
    cmd: t
    deps: [{path: data/prepared, md5: d1.dir}, {path: src/a.py, md5: a1}]
    outs: [{path: models/checkpoint, md5: m1.dir}]
  evaluate: {cmd: e, outs: []}
"""


class AskedStore(MemoryStore):
    """Knows the experiments of these names."""

    known: tuple[str, ...] = ()

    def has_experiment(self, name: str) -> bool:
        return name in self.known


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


@pytest.fixture
def experiment(project: Project) -> Project:
    """A repository with one finished experiment, `brave-fox`."""
    root = project.workspace
    baseline = start_repository(root)
    write(root, "params.yaml", PARAMS)
    write(root, "dvc.lock", LOCK)
    write(root, "reports/train/curves.csv", "step,epoch,train/loss\n10,0,0.5\n20,1,0.25\n")
    write(root, "reports/train/metrics.json", json.dumps({"val": {"loss": 0.3}}))
    write(root, "reports/evaluation/metrics.json", json.dumps({"test": {"accuracy": 0.9}}))
    git(root, "add", "-f", "params.yaml", "dvc.lock", "reports")
    git(root, "commit", "-q", "-m", "experiment")
    git(root, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/brave-fox", "HEAD")
    git(root, "reset", "-q", "--hard", baseline)
    return project


def test_an_experiment_without_a_run_gets_a_whole_one_once(experiment: Project) -> None:
    store = AskedStore()
    assert record_missing(experiment, store, tags={"samebits.trial": "lr/1"}) == ["brave-fox"]  # type: ignore[arg-type]
    (run,) = store.runs.values()
    assert (run["name"], run["status"]) == ("brave-fox", "FINISHED")
    assert store.counts()[("train/loss", 20)] == 1
    assert {(p.name, p.value) for p in run["points"]} >= {("val/loss", 0.3), ("test/accuracy", 0.9)}
    assert (run["params"]["train.optimizer.lr"], run["params"]["train.epochs"]) == ("0.1", "4")
    assert run["tags"]["samebits.replayed.train"] == run["tags"]["samebits.replayed.evaluate"]
    assert run["tags"]["dvc.exp_name"] == "brave-fox"
    assert run["tags"]["git.commit"] == git(experiment.workspace, "rev-parse", "HEAD")
    assert run["tags"]["dvc.out.models/checkpoint"] == "m1.dir"
    assert "dvc.in.src/a.py" not in run["tags"]
    assert run["tags"]["samebits.trial"] == "lr/1"
    assert "params.yaml" in run["artifacts"]
    assert spawn.pending_events(read_records(experiment)[0].folder) == 0
    assert record_missing(experiment, store) == []  # type: ignore[arg-type]
    assert len(store.runs) == 1


def test_an_experiment_that_the_store_has_is_left_alone(experiment: Project) -> None:
    store = AskedStore()
    store.known = ("brave-fox",)
    assert record_missing(experiment, store) == []  # type: ignore[arg-type]
    assert record_missing(experiment, AskedStore(), "another") == []  # type: ignore[arg-type]
    assert read_records(experiment) == []


def test_without_a_repository_there_is_nothing_to_record(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.workspace.parent))
    assert record_missing(project, AskedStore()) == []  # type: ignore[arg-type]
