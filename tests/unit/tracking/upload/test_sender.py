from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from samebits.base.paths import Project
from samebits.tracking.journal.record import Execution, ProcessId, read_records
from samebits.tracking.upload import sender as module
from samebits.tracking.upload.delivery import StoreUnavailable
from samebits.tracking.upload.sender import Sender, deliver_left_over, prune

if TYPE_CHECKING:
    from .conftest import MemoryStore, Recorded


def test_a_killed_stage_makes_its_run_killed(project: Project, recorded: Recorded, store: MemoryStore) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    writer = recorded.stage("train", ProcessId.of(child.pid))
    writer.append("metrics", step=0, v={"loss": 1.0})
    sender = Sender(project, recorded.record, lambda: store)
    sender.poll_once()
    assert store.runs["run0"]["status"] == "RUNNING"
    child.kill()
    child.wait()
    sender.poll_once()
    assert store.runs["run0"]["status"] == "KILLED"
    assert "without a word" in store.runs["run0"]["tags"]["samebits.error"]
    assert sender.delivery.drained


def test_a_stage_that_ended_well_and_is_gone_was_not_killed(
    project: Project, recorded: Recorded, store: MemoryStore
) -> None:
    recorded.finished_stage("train")
    Sender(project, recorded.record, lambda: store).poll_once()
    assert store.runs["run0"]["status"] == "FINISHED"


def test_a_store_that_is_down_is_asked_again_later_and_at_once_in_a_hurry(
    project: Project, recorded: Recorded, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0
    up = False

    def connect() -> MemoryStore:
        nonlocal tries
        tries += 1
        if not up:
            raise StoreUnavailable("MLflow at x cannot be reached")
        return store

    now = 1000.0
    monkeypatch.setattr(module.time, "time", lambda: now)
    recorded.finished_stage("train", points=2)
    sender = Sender(project, recorded.record, connect)
    sender.poll_once()
    sender.poll_once()
    assert tries == 1
    assert sender.delivery.problem == "MLflow at x cannot be reached"
    now += 1.1
    sender.poll_once()
    assert tries == 2
    up = True
    sender.poll_once()
    assert tries == 2
    (recorded.record.folder / "hurry").touch()
    os.utime(recorded.record.folder / "hurry", (now + 1, now + 1))
    sender.poll_once()
    assert tries == 3
    assert sender.delivery.problem == ""
    assert store.counts() == {("train/loss", 0): 1, ("train/loss", 1): 1}


def test_an_error_that_nobody_foresaw_is_a_problem_and_is_tried_again(
    project: Project, recorded: Recorded, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded.finished_stage("train", points=2)
    sender = Sender(project, recorded.record, lambda: store)
    monkeypatch.setattr(store, "log", lambda run_id, entries: 1 / 0)
    sender.poll_once()
    assert "ZeroDivisionError" in sender.delivery.problem
    monkeypatch.undo()
    sender._try()
    assert sender.delivery.problem == ""
    assert store.counts() == {("train/loss", 0): 1, ("train/loss", 1): 1}


def test_watching_ends_with_the_execution(
    project: Project, recorded: Recorded, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.01)
    monkeypatch.setattr(module, "packages", lambda: "torch==2\n")
    recorded.finished_stage("train", points=2)
    sender = Sender(project, recorded.record, lambda: store)
    sender.watch()
    run = store.runs["run0"]
    assert run["status"] == "FINISHED"
    assert run["artifacts"]["environment/packages.txt"] == "torch==2\n"
    assert run["tags"]["env.gpu.count"].isdigit()


def test_watching_gives_up_on_a_store_that_stays_down(
    project: Project, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect() -> MemoryStore:
        raise StoreUnavailable("down")

    monkeypatch.setattr(module, "POLL_S", 0.01)
    monkeypatch.setattr(module, "GIVE_UP_S", 0.05)
    monkeypatch.setattr(module, "packages", lambda: "")
    recorded.finished_stage("train", points=2)
    sender = Sender(project, recorded.record, connect)
    sender.watch()
    assert not sender.delivery.drained


def test_the_machine_is_sampled_while_a_stage_runs(
    project: Project, recorded: Recorded, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samebits.tracking.upload.system_metrics._FAST_S", 0.0)
    here = ProcessId.of(os.getpid())
    writer = recorded.stage("train", here)
    sender = Sender(project, recorded.record, lambda: store)
    sender._sampler = module.SystemSampler(project.home, time.time(), gpus=[])
    for _ in range(3):
        sender.poll_once()
        sender._sample()
    writer.append("end", stage="train", status="FINISHED", error="")
    sender.poll_once()
    sender._sample()
    sender.poll_once()
    counts = store.counts()
    assert set(counts.values()) == {1}
    assert sum(name == "system/cpu_utilization_percentage" for name, _ in counts) == 3
    assert any(name == "system/process_memory_megabytes" for name, _ in counts)


def test_what_earlier_executions_left_is_delivered(
    project: Project, recorded: Recorded, store: MemoryStore, dead: ProcessId
) -> None:
    writer = recorded.stage("train", dead)
    writer.append("metrics", step=0, v={"loss": 1.0})
    tried = deliver_left_over(project, lambda: store)
    assert [delivery.problem for delivery in tried] == [""]
    assert store.runs["run0"]["status"] == "KILLED"
    assert deliver_left_over(project, lambda: store) == []


def test_what_still_runs_is_not_touched(project: Project, recorded: Recorded, store: MemoryStore) -> None:
    recorded.record.executions = [Execution(ProcessId.of(os.getpid()))]
    recorded.record.save()
    recorded.stage("train")
    assert deliver_left_over(project, lambda: store) == []
    assert store.calls == []


def test_only_delivered_records_are_pruned(project: Project, recorded: Recorded, store: MemoryStore) -> None:
    recorded.finished_stage("train")
    prune(project, keep=0)
    assert len(read_records(project)) == 1
    deliver_left_over(project, lambda: store)
    prune(project, keep=1)
    assert len(read_records(project)) == 1
    prune(project, keep=0)
    assert read_records(project) == []


def test_a_killed_stage_that_dvc_restored_no_longer_counts(
    project: Project, recorded: Recorded, store: MemoryStore
) -> None:
    recorded.stage("train").close()
    Sender(project, recorded.record, lambda: store).poll_once()
    assert store.runs["run0"]["status"] == "KILLED"
    writer = recorded.stage("export")
    writer.append("tags", v={"samebits.replayed.train": "from its DVC outputs"})
    writer.append("end", stage="export", status="FINISHED", error="")
    Sender(project, recorded.record, lambda: store).poll_once()
    assert store.runs["run0"]["status"] == "FINISHED"
    recorded.stage("train").close()
    Sender(project, recorded.record, lambda: store).poll_once()
    assert store.runs["run0"]["status"] == "KILLED"


def test_it_rests_after_a_delivery_unless_somebody_waits(
    project: Project, recorded: Recorded, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, now = 0.0, 50.0

    def process_time() -> float:
        nonlocal used
        used += 0.03
        return used

    monkeypatch.setattr(module.time, "process_time", process_time)
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    here = ProcessId.of(os.getpid())
    recorded.record.executions = [Execution(here)]
    writer = recorded.stage("train", here)
    sender = Sender(project, recorded.record, lambda: store)

    def points_after(step: int) -> int:
        writer.append("metrics", step=step, v={"loss": 1.0})
        sender.poll_once()
        return len(store.runs["run0"]["points"])

    assert points_after(0) == 1
    now += 1.4  # 0.03 s are 2 % of 1.5 s
    assert points_after(1) == 1
    now += 0.2
    assert points_after(2) == 3
    assert points_after(3) == 3
    (recorded.record.folder / "hurry").touch()
    assert points_after(4) == 5
