"""Metrics of a model that was made long ago go to its run, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from samebits.base.paths import Project
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.tracking.journal import later
from samebits.tracking.upload.delivery import Delivery
from tests.helpers.memory_store import DEAD, MemoryStore, Recorded

if TYPE_CHECKING:
    from pathlib import Path


def deliver(recorded: Recorded, store: MemoryStore) -> None:
    delivery = Delivery(recorded.record)
    delivery.read()
    assert not delivery.drained
    delivery.send(store)
    delivery.acknowledge(0.0)


def test_points_go_to_the_run_that_made_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, store = Project(tmp_path, tmp_path), MemoryStore()
    project.exported.mkdir(parents=True)
    (project.exported / "model.onnx").write_bytes(b"weights")
    recorded = Recorded(project, DEAD)
    writer = recorded.stage("export")
    writer.append("tags", v={"dvc.out.models/export": dvc_md5(project.exported)})
    writer.append("end", stage="export", status="FINISHED", error="")
    deliver(recorded, store)
    monkeypatch.setattr(later, "ensure_sender", lambda *_: deliver(recorded, store))
    found = later.run_that_made(project, project.exported)
    assert found is not None
    assert later.add_later(project, found, "monitor", {"monitor/drifted": 2.0}, 17) == ""
    assert store.counts()["monitor/drifted", 17] == 1
    assert list(store.runs) == ["run0"]
    assert store.runs["run0"]["status"] == "FINISHED"
    (project.exported / "model.onnx").write_bytes(b"others")
    assert later.run_that_made(project, project.exported) is None
