"""A store in memory that fails on demand, and records to deliver to it."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from samebits.base.paths import Project
from samebits.pipeline.fingerprint import Fingerprint
from samebits.tracking.journal import record
from samebits.tracking.journal.journal import Event, JournalWriter, new_segment
from samebits.tracking.journal.record import Execution, ProcessId, Record
from samebits.tracking.upload.delivery import Entry, Point, RunGone, StoredRun, StoreUnavailable
from samebits.tracking.upload.logged_model import ModelFacts


class MemoryStore:
    """Keeps points as MLflow does: nothing stops a point from being there twice.

    Attributes:
        faults: for each coming call of `log`, where it fails: "before" or "after" the entries are kept, or "".
    """

    def __init__(self, uri: str = "memory://") -> None:
        self.uri = uri
        self.runs: dict[str, dict[str, Any]] = {}
        self.faults: list[str] = []
        self.calls: list[str] = []

    def _run(self, run_id: str) -> dict[str, Any]:
        if run_id not in self.runs:
            raise RunGone(run_id)
        return self.runs[run_id]

    def open_run(self, run_id: str, key: str, name: str, experiment: str, start_ms: int) -> StoredRun:
        self.calls.append("open_run")
        if not run_id:
            run_id = next((i for i, run in self.runs.items() if run["key"] == key), "")
        if not run_id:
            run_id = f"run{len(self.runs)}"
            empty: dict[str, Any] = {"points": [], "params": {}, "tags": {}, "artifacts": {}, "datasets": []}
            self.runs[run_id] = empty | {"key": key, "name": name, "status": "RUNNING"}
        run = self._run(run_id)
        steps: dict[str, set[int]] = {}
        for point in run["points"]:
            steps.setdefault(point.name, set()).add(point.step)
        return StoredRun(run_id, dict(run["params"]), steps)

    def log(self, run_id: str, entries: list[Entry]) -> None:
        self.calls.append("log")
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "before":
            raise StoreUnavailable("down")
        run = self._run(run_id)
        for entry in entries:
            if isinstance(entry, Point):
                run["points"].append(entry)
            else:
                run["params" if entry.kind == "param" else "tags"][entry.name] = entry.value
        if fault == "after":
            raise StoreUnavailable("down")

    def add_artifact(self, run_id: str, path: Path, folder: str) -> None:
        self._run(run_id)["artifacts"][f"{folder}/{path.name}".lstrip("/")] = path.read_text()

    def add_dataset(self, run_id: str, event: Event) -> None:
        self._run(run_id)["datasets"].append(event["digest"])

    def log_model(self, run_id: str, facts: ModelFacts) -> None:
        self.calls.append("log_model")
        self._run(run_id)["model"] = facts

    def set_status(self, run_id: str, status: str, time_ms: int, name: str) -> None:
        self.calls.append(status)
        self._run(run_id)["status"] = status
        self._run(run_id)["name"] = name

    def counts(self, run_id: str = "run0") -> Counter[tuple[str, int]]:
        """How often each (metric, step) is there."""
        return Counter((point.name, point.step) for point in self.runs[run_id]["points"])


DEAD = ProcessId(host=ProcessId.of(os.getpid()).host, pid=os.getpid(), born="before this process")


class Recorded:
    """A record on disk whose stages are written by the test."""

    def __init__(self, project: Project, process: ProcessId) -> None:
        folder = record.runs_folder(project) / "20260101-000000-abcdabcd-1"
        folder.mkdir(parents=True)
        self.process = process
        self.record = Record(
            folder, Fingerprint("abcd"), "samebits", created=time.time(), name="mnist-convnet-abcdabcd"
        )
        self.record.executions = [Execution(process)]
        self.record.save()

    def stage(self, name: str, process: ProcessId | None = None, *, computes: bool = True) -> JournalWriter:
        writer = new_segment(self.record.folder, name)
        writer.append("start", stage=name, process=dataclasses.asdict(process or self.process), name=self.record.name)
        if computes:
            writer.append("computes")
        return writer

    def finished_stage(self, name: str, points: int = 0) -> None:
        writer = self.stage(name)
        for step in range(points):
            writer.append("metrics", step=step, v={f"{name}/loss": 1.0 / (step + 1)})
        writer.append("end", stage=name, status="FINISHED", error="")
        writer.close()
