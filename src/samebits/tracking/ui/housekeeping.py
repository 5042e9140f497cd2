"""`samebits runs status` and `samebits runs clean`: what waits in the journals, and runs that stand as RUNNING.

A run is dead when its process is: of this machine that is known; of another one, silence for `SILENT_S` is believed.
A run that was closed by mistake (its sender could not reach the server for so long) gets its true status when the
sender comes back.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.base.result import Result
from samebits.tracking.journal.record import Record, read_records, sender_lock
from samebits.tracking.journal.spawn import pending_events, read_sent
from samebits.tracking.tracking_uri import check_reachable, pick_target, without_password
from samebits.tracking.ui.heartbeat import last_sign, process_of
from samebits.tracking.upload.delivery import StoreUnavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SILENT_S = 1800.0


@dataclass(frozen=True)
class JournalState:
    """A record's journal.

    Attributes:
        state: `running`, `delivering` (over, and a sender still works), `waiting` or `delivered`.
        waiting: events that the store does not have yet.
        problem: what the sender met at its last try.
    """

    name: str
    folder: Path
    state: str
    waiting: int
    problem: str


def journal_states(project: Project) -> list[JournalState]:
    """The state of each journal, newest first. Does not import MLflow."""
    return [_state(record) for record in read_records(project)]


def _state(record: Record) -> JournalState:
    waiting = pending_events(record.folder)
    if record.alive():
        state = "running"
    elif _sender_lives(record.folder):
        state = "delivering"
    else:
        state = "waiting" if waiting else "delivered"
    problem = str(read_sent(record.folder).get("problem", ""))
    return JournalState(record.name, record.folder, state, waiting, without_password(problem))


def _sender_lives(folder: Path) -> bool:
    lock = sender_lock(folder)
    try:
        lock.acquire()
    except TimeoutError:
        return True
    lock.release()
    return False


@dataclass(frozen=True)
class RunsStatus(Result):
    """The journals, and where they go.

    Attributes:
        store: for people, without a password.
        old: a line about a store that an older MLflow left; or nothing.
    """

    store: str
    states: list[JournalState]
    old: str

    @property
    def waiting(self) -> int:
        """Events that no running execution will send."""
        return sum(each.waiting for each in self.states if each.state != "running")

    def lines(self) -> Iterator[str]:
        """The journals as a table."""
        yield f"records go to {self.store}"
        if self.old:
            yield self.old
        for each in self.states:
            if each.state != "delivered":
                note = f"  ({each.problem})" if each.problem else ""
                yield f"  {each.state:<10}  {each.waiting:>6} events  {each.name}{note}"
        delivered = sum(each.state == "delivered" for each in self.states)
        yield f"  {delivered} journals of {len(self.states)} are delivered whole"
        if self.waiting:
            yield f"{self.waiting} events wait; samebits runs sync sends them"

    def json(self) -> dict[str, Any]:
        journals = [vars(each) for each in self.states]
        return {"store": self.store, "journals": journals, "waiting": self.waiting, "note": self.old or None}


def runs_status(project: Project) -> RunsStatus:
    """The state of all journals. Does not import MLflow."""
    return RunsStatus(pick_target(project).shown, journal_states(project), old_file_store(project))


def old_file_store(project: Project) -> str:
    """A line about a store of files that an older MLflow left, with MLflow's own command to migrate it; or nothing."""
    folder = project.mlruns
    kept = [each for each in folder.glob("*/meta.yaml") if each.parent.name != "artifacts"] if folder.is_dir() else []
    if not kept:
        return ""
    return (
        f"{folder} holds {len(kept)} experiments of MLflow's old file store, which are not shown; migrate them aside: "
        f"mlflow migrate-filestore --source {folder} --target sqlite:///{folder / 'migrated.db'}"
    )


def clean(project: Project, say: Callable[[str], None] = print, silent_s: float = SILENT_S) -> int:
    """Close runs that stand as RUNNING and whose process is dead. Returns how many were closed. Imports MLflow.

    Raises:
        UserError: if the store does not answer.
    """
    target = pick_target(project)
    check_reachable(target)
    if target.local and not (project.mlruns / "mlflow.db").exists():
        return 0
    from samebits.tracking.upload.mlflow_store import DISK_FIX, RECORD_TAG, MlflowStore
    from samebits.tracking.upload.sender import deliver_left_over

    os.chdir(project.home)
    store = MlflowStore(project, target)
    try:
        # First the journals' own word: what a dead sender left is delivered, killed attempts are ended.
        deliver_left_over(project, lambda: store)
        records = {record.key: record for record in read_records(project)}
        closed = 0
        for run in _running(store.client):
            record = records.get(run.data.tags.get(RECORD_TAG, ""))
            reason = _death(run, record, silent_s)
            if reason:
                store.client.set_tag(run.info.run_id, "samebits.error", reason)
                store.client.set_terminated(run.info.run_id, "KILLED")
                say(f"closed {run.info.run_name}: {reason}")
                closed += 1
    except StoreUnavailable as error:
        raise UserError(str(error), DISK_FIX if target.local else "start the server, then run this again") from None
    return closed


def _running(client: MlflowClient) -> list[Run]:
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(ids, "attributes.status = 'RUNNING'", page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _death(run: Run, record: Record | None, silent_s: float) -> str:
    """Why a run counts as dead; empty for a live one."""
    if record is not None:
        return "" if record.alive() or _sender_lives(record.folder) else "its execution is dead"
    process = process_of(run.data.tags)
    if process is not None and process.alive():
        return ""
    if process is not None and process.host == platform.node():
        return f"its process {process.pid} is dead"
    times = [metric.timestamp for metric in run.data._metric_objs]
    silence = time.time() - last_sign(run.info.start_time, run.data.tags, times)
    if silence < silent_s:
        return ""
    return f"no sign of life for {silence / 60:.0f} minutes"
