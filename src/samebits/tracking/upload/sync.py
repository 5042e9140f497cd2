"""`samebits runs sync`: send now what earlier executions could not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import filelock

from samebits.base.errors import EXIT_USER_ERROR, UserError
from samebits.base.paths import Project
from samebits.base.result import Result
from samebits.tracking.journal.record import read_records, sender_lock
from samebits.tracking.journal.spawn import pending_events
from samebits.tracking.tracking_uri import check_reachable, pick_target
from samebits.tracking.upload.delivery import StoreUnavailable
from samebits.tracking.upload.replayed import record_missing

_FIX = "samebits doctor looks at the store; then run this again: nothing is lost"
_SENDER_ENDS_S = 60.0


@dataclass(frozen=True)
class SyncReport(Result):
    """What was sent.

    Attributes:
        sent: records that were delivered whole.
        replayed: DVC experiments that got their run now: DVC's run cache had answered them.
        waiting: events that still wait, by the record's name.
        problem: why, in words; empty if nothing waits.
    """

    sent: list[str]
    replayed: list[str]
    waiting: dict[str, int]
    problem: str

    @property
    def exit_code(self) -> int:
        return EXIT_USER_ERROR if self.problem else 0

    def lines(self) -> Iterator[str]:
        yield from (f"sent: {name}" for name in self.sent)
        yield from (f"recorded: experiment {name}, whose results came from DVC's run cache" for name in self.replayed)
        yield from (f"waiting: {name}, {events} events" for name, events in self.waiting.items())
        if self.problem:
            raise UserError(self.problem, _FIX)
        yield f"{len(self.sent) + len(self.replayed)} runs brought up to date, nothing waits"

    def json(self) -> dict[str, Any]:
        more = {"error": self.problem, "fix": _FIX} if self.problem else {}
        return {"sent": self.sent, "replayed": self.replayed, "waiting": self.waiting, **more}


def sync(project: Project, say: Callable[[str], None] = print) -> SyncReport:
    """Deliver the journals of executions that are over. Imports MLflow.

    The sender of an execution that has just ended tries for half a minute more, and is waited for.

    Raises:
        UserError: if the tracking server cannot be reached.
    """
    target = pick_target(project)
    check_reachable(target)
    from samebits.tracking.upload.mlflow_store import MlflowStore
    from samebits.tracking.upload.sender import deliver_left_over

    _await_senders(project, say)
    # Relative artefact locations count from here.
    os.chdir(project.home)
    store = MlflowStore(project, target)
    tried = deliver_left_over(project, lambda: store)
    replayed: list[str] = []
    with contextlib.suppress(StoreUnavailable):  # which the journals' own problem tells
        replayed = record_missing(project, store)
    waiting = {d.record.name: pending_events(d.record.folder) for d in tried if d.problem}
    problem = next((d.problem for d in tried if d.problem), "")
    return SyncReport([d.record.name for d in tried if not d.problem], replayed, waiting, problem)


def _await_senders(project: Project, say: Callable[[str], None]) -> None:
    for record in read_records(project):
        if record.alive() or not pending_events(record.folder):
            continue
        lock = sender_lock(record.folder)
        try:
            lock.acquire()
        except filelock.Timeout:
            say(f"waiting for the sender of {record.name}, which still tries")
            (record.folder / "hurry").touch()
            with contextlib.suppress(filelock.Timeout):
                lock.acquire(timeout=_SENDER_ENDS_S)
        lock.release()


def waiting_events(project: Project) -> int:
    """Events of all records that were not delivered, without importing MLflow."""
    return sum(pending_events(record.folder) for record in read_records(project))
