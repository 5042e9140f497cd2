"""The tracker that writes the journal of one stage, and sees to it that a sender delivers it."""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from samebits.base.nested import flatten
from samebits.base.paths import Project
from samebits.base.redaction import without_secrets
from samebits.tracking.environment.environment import torch_facts
from samebits.tracking.journal import lineage, replay, spawn
from samebits.tracking.journal.journal import Event
from samebits.tracking.journal.record import Opened, ProcessId, Record
from samebits.tracking.journal.trial import trial_env

WAIT_S = 10.0
"""Longest wait at a stage's end for its events to arrive."""

_ARTIFACT_LIMIT = 20 << 20
_HELD_NS = 500_000_000


class JournalTracker:
    """Writes the journal of one stage and sees to it that a sender delivers it."""

    def __init__(self, project: Project, opened: Opened, stage: str, say: Callable[[str], None]) -> None:
        self._project = project
        self._record = opened.record
        self._journal = opened.journal
        self._opened = opened
        self._stage = stage
        self._say = say
        self._started = time.monotonic()
        self._files = 0
        self._broken = False
        self._computes = False
        self._points: list[tuple[int, int, dict[str, float]]] = []

    def begin(self, params: Mapping[str, Any]) -> None:
        """Record what is known at the start, and start the sender."""
        process = asdict(ProcessId.of(os.getpid()))
        self._append("start", stage=self._stage, process=process, name=self._record.name)
        spawn.ensure_sender(self._project, self._record.folder)
        self._append("params", v={key: str(value) for key, value in flatten(params).items()})
        if self._opened.first:
            self.artifact(self._project.params_file)
            self._guard("the code's state", self._record_source)
        self._guard("that it runs", lambda: self._replay(replay.invalidate_replay))
        self._guard("what was skipped", lambda: self._replay(replay.skipped_before))

    def _record_source(self) -> None:
        facts, patch = lineage.source_facts(self._project, self._record.executions[-1], self._say)
        facts |= trial_env()
        facts["samebits.pipeline.fingerprint"] = self._record.fingerprint.whole[:16]
        self._append("tags", v=facts)
        if patch:
            self._append_data("uncommitted.patch", patch)

    def _replay(self, find: Callable[[Project, Record, str], list[dict[str, Any]]]) -> None:
        for event in find(self._project, self._record, self._stage):
            self._append(**event)

    def computes(self) -> None:
        if not self._computes:
            self._computes = True
            self._append("computes")
            self._guard("torch's set-up", self._record_torch)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self.computes()
        now = time.time_ns()
        try:
            self._points.append((now, int(step), {name: float(value) for name, value in values.items()}))
        except (TypeError, ValueError) as error:
            self._say(f"warning: step {step} is not recorded in MLflow: {error}")
            return
        if now - self._points[0][0] > _HELD_NS:
            self._write_points()

    def _write_points(self) -> None:
        """Append the points that are held back. Writing each at once cost ten times as much between training steps."""
        points, self._points = self._points, []
        events = []
        for now, step, values in points:
            finite = {name: value for name, value in values.items() if math.isfinite(value)}
            t = now // 1_000_000
            if len(finite) < len(values):
                lost = {f"not_finite.{n}": f"{v} at step {step}" for n, v in values.items() if n not in finite}
                events.append({"k": "tags", "t": t, "v": lost})
            if finite:
                events.append({"k": "metrics", "t": t, "step": step, "v": finite})
        self._write(events)

    def summary(self, values: Mapping[str, float]) -> None:
        self._guard("a summary", lambda: self._summarise(values))

    def _summarise(self, values: Mapping[str, float]) -> None:
        numbers = {name: float(value) for name, value in values.items()}
        finite = {name: number for name, number in numbers.items() if math.isfinite(number)}
        if len(finite) < len(numbers):
            self._append(
                "tags", v={f"not_finite.{name}": str(numbers[name]) for name in numbers.keys() - finite.keys()}
            )
        if finite:
            self._append("summary", step=0, v=finite)

    def report(self, path: Path) -> None:
        self._guard(str(path), lambda: self.summary(replay.numbers(path)))

    def tags(self, values: Mapping[str, str]) -> None:
        self._append("tags", v={key: str(value) for key, value in values.items()})

    def artifact(self, path: Path, folder: str = "") -> None:
        self._guard(str(path), lambda: self._append_file(path, folder))

    def dataset(self, *, name: str, digest: str, source: str, counts: Mapping[str, int]) -> None:
        self._append("tags", v={"data.digest": digest})
        self._append("dataset", name=name, digest=digest, source=source, counts=dict(counts), stage=self._stage)

    def lineage(self, reads: Iterable[Path], writes: Iterable[Path]) -> None:
        self._guard(
            "lineage",
            lambda: self._append("tags", v=lineage.artefact_facts(self._project, reads, writes, self._stage)),
        )

    def flush(self) -> None:
        self._write_points()
        self._guard("the last second", self._journal.sync)

    def close(self, status: str, error: str | None = None, *, refused: bool = False) -> None:
        refused = refused and not self._computes
        # A library's message may have an address with its password in it.
        text = without_secrets(error or "")
        if text:
            self._guard(
                "the error", lambda: self._append_data(f"errors/{self._stage}.txt", text.encode(errors="replace"))
            )
        if status == "FINISHED":
            seconds = time.monotonic() - self._started + self._opened.earlier_s
            self._guard("what is skipped", lambda: self._replay(replay.up_to_date_after))
            self._append("summary", step=0, v={f"time/{self._stage}_s": round(seconds, 3)})
        self._append("end", stage=self._stage, status=status, error=text.strip()[-2000:], refused=refused)
        self.flush()
        self._guard("this stage", lambda: self._deliver(wait=not refused and self._stage != "prepare"))

    def _deliver(self, *, wait: bool) -> None:
        """See that a sender lives, and wait for it: not after `prepare`, whose events the next stage's cover."""
        spawn.ensure_sender(self._project, self._record.folder)
        if self._broken or not wait:
            return
        warning = spawn.await_delivery(self._project, self._record, self._journal.path, WAIT_S)
        if warning:
            self._say(warning)

    def _record_torch(self) -> None:
        """Torch's own facts, as it is set up for the computation; this module never imports it.

        What a stage sets for itself is of that stage: the plain names are training's, which decide on the weights.
        """
        if "torch" not in sys.modules:
            return
        facts = torch_facts()
        if self._stage != "train":
            threads = facts.pop("env.torch.threads")
            facts.pop("env.torch.deterministic")
            facts[f"env.torch.threads.{self._stage}"] = threads
        self._append("tags", v=facts)

    def _append(self, k: str, **fields: Any) -> None:
        """Write an event behind the points that are held back."""
        if self._points:
            self._write_points()
        self._write([{"k": k, "t": time.time_ns() // 1_000_000, **fields}])

    def _write(self, events: list[Event]) -> None:
        """If the disk refuses, that is one warning, and the rest of the stage is not recorded."""
        if self._broken or not events:
            return
        try:
            self._journal.write(events)
        except (OSError, TypeError, ValueError) as error:
            self._broken = True
            self._say(f"warning: the rest of this stage is not recorded in MLflow: {error}")

    def _append_data(self, name: str, data: bytes) -> None:
        path = self._new_file(Path(name).name)
        path.write_bytes(data)
        self._announce(path, str(Path(name).parent))

    def _append_file(self, path: Path, folder: str) -> None:
        if path.is_dir():
            for inner in sorted(p for p in path.rglob("*") if p.is_file()):
                self._append_file(inner, (Path(folder) / inner.relative_to(path).parent).as_posix())
            return
        size = path.stat().st_size
        if size > _ARTIFACT_LIMIT:
            self.tags({f"not_uploaded.{path.name}": f"{size / 2**20:.0f} MiB, over the limit of 20 MiB"})
            return
        copy = self._new_file(path.name)
        shutil.copyfile(path, copy)
        self._announce(copy, folder)

    def _new_file(self, name: str) -> Path:
        self._files += 1
        folder = self._record.folder / "files" / self._journal.path.stem / str(self._files)
        folder.mkdir(parents=True)
        return folder / name

    def _announce(self, copy: Path, folder: str) -> None:
        self._append("artifact", file=copy.relative_to(self._record.folder).as_posix(), folder=folder.strip("./"))

    def _guard(self, what: str, action: Callable[[], None]) -> None:
        """Do it; a failure is a warning."""
        try:
            action()
        except Exception as error:  # tracking never stops a stage
            self._say(f"warning: {what} is not recorded in MLflow: {type(error).__name__}: {error}")
