"""The process that delivers a record's journal to MLflow and samples the machine meanwhile.

    python -m samebits.tracking.upload.sender <record folder> <project home>

Started by the first stage of an execution and shared by the others. It ends when the execution is over and its
journal is delivered, or could not be for half a minute. It may be killed at any moment: the next one goes on.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.base.terminal import escape_unprintable
from samebits.tracking.environment.environment import machine_facts, packages
from samebits.tracking.journal.committed import committed
from samebits.tracking.journal.journal import JournalWriter, new_segment
from samebits.tracking.journal.record import Record, read_record, read_records, runs_lock, sender_lock
from samebits.tracking.journal.spawn import FLUSH_REQUEST
from samebits.tracking.tracking_uri import check_scheme, pick_target
from samebits.tracking.upload.delivery import Delivery, Store, StoreUnavailable
from samebits.tracking.upload.idle_priority import IdleWorker, Preempted, flush_requested
from samebits.tracking.upload.system_metrics import SystemSampler

if TYPE_CHECKING:
    from samebits.tracking.upload.mlflow_store import MlflowStore

POLL_S = 0.25
GIVE_UP_S = 30.0
KEPT_RECORDS = 50
SHARE = 0.02
"""Of one core: after a delivery the sender rests until it was no more, or for `LONGEST_REST_S`."""
LONGEST_REST_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
# At 19, and nearly so at 10, it got no time on a machine that others keep busy: MLflow was not imported after 40 s.
_NICE = 5
_NOW = "--now"


class Sender:
    """Delivers one record. The caller holds its sender lock.

    Args:
        connect: makes the store; called again after it raised StoreUnavailable.
        idle_worker: runs long work that no stage waits for; None: it runs in this thread.
    """

    def __init__(
        self, project: Project, record: Record, connect: Callable[[], Store], idle_worker: IdleWorker | None = None
    ) -> None:
        self.delivery = Delivery(record)
        self._project = project
        self._folder = record.folder
        self._connect = connect
        self._idle_worker = idle_worker
        self._store: Store | None = None
        self._journal: JournalWriter | None = None
        self._sampler: SystemSampler | None = None
        self._pause = _FIRST_PAUSE_S
        self._tried = 0.0
        self._rested = 0.0
        """When it may go on (time.monotonic)."""

    def watch(self) -> None:
        """Deliver until the execution is over and all is delivered, or cannot be for `GIVE_UP_S`.

        Raises:
            Preempted: if the work at idle priority got no time.
        """
        self._do(self._write_environment)
        self._sampler = SystemSampler(self._project.home, self.delivery.record.created)
        over_since: float | None = None
        while True:
            self._reload()
            alive = self.delivery.record.alive()
            if not alive and over_since is None:
                over_since = time.monotonic()
                committed(self.delivery.record, self._project.workspace, self._project.home)
            elif alive:
                over_since = None
                self._sample()
            self.poll_once()
            if not alive and (self.delivery.drained or time.monotonic() - (over_since or 0.0) > GIVE_UP_S):
                return
            time.sleep(POLL_S)

    def poll_once(self) -> None:
        """Read what is new, close what died, deliver."""
        self.delivery.read()
        if self._close_dead():
            self.delivery.read()
        if self._may_try():
            self._do(self._try, at_once=flush_requested(self._folder / FLUSH_REQUEST, self._tried))

    def _do(self, work: Callable[[], None], *, at_once: bool = False) -> None:
        if self._idle_worker is None or at_once:
            work()
        else:
            self._idle_worker.do(work, meanwhile=self._sample)

    def still_wanted(self) -> bool:
        """Whether a new execution has joined the record, or something waits that could be delivered."""
        self._reload()
        self.delivery.read()
        return self.delivery.record.alive()

    def _reload(self) -> None:
        """Stages of a continued execution write themselves into run.json."""
        record = read_record(self._folder)
        if record is not None:
            self.delivery.record = record

    def _may_try(self) -> bool:
        if self.delivery.drained and self._store is not None:
            return False
        if flush_requested(self._folder / FLUSH_REQUEST, self._tried):
            return True
        if time.monotonic() < self._rested and self.delivery.record.alive():
            return False
        return not self.delivery.problem or time.time() - self._tried >= self._pause

    def _try(self) -> None:
        self._tried = time.time()
        try:
            if self._store is None:
                self._store = self._connect()
            used = time.process_time()
            self.delivery.send(self._store)
            self._pause = _FIRST_PAUSE_S
            self._rested = time.monotonic() + min((time.process_time() - used) / SHARE, LONGEST_REST_S)
        except StoreUnavailable as error:
            self._postpone(str(error))
        except UserError as error:
            self._postpone(error.problem)
        except Exception as error:  # what MLflow and its database raise is not listed anywhere
            if type(error).__name__ not in self.delivery.problem:
                traceback.print_exception(error)
            self._postpone(f"MLflow does not take the records: {type(error).__name__}: {str(error)[:300]}")
        self.delivery.acknowledge(time.time() if self.delivery.problem else self._tried)

    def _postpone(self, problem: str) -> None:
        if problem != self.delivery.problem:
            print(f"{time.strftime('%H:%M:%S')} {problem}", flush=True)
        self.delivery.problem = problem
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_S)

    def _close_dead(self) -> bool:
        """End the attempts whose process died without an `end`: killed, out of memory, an interpreter crash."""
        found = False
        for segment, attempt in self.delivery.run_state.attempts.items():
            if attempt.status == "RUNNING" and not self.delivery.record.runs(attempt.process):
                # It may have written its end between our last reading and its death.
                self.delivery.read()
                if attempt.status == "RUNNING":
                    error = "the process ended without a word: killed, out of memory, or a crash"
                    self._writer().append("end", of=segment, stage=attempt.stage, status="KILLED", error=error)
                    found = True
        return found

    def _sample(self) -> None:
        sampler = self._sampler
        if sampler is None or not sampler.due():
            return
        running = [a.process for a in self.delivery.run_state.attempts.values() if a.status == "RUNNING"]
        if running:
            self._writer().append("metrics", step=sampler.step(), v=sampler.sample(running))

    def _write_environment(self) -> None:
        """Facts of the machine as tags, the installed packages as a file."""
        writer = self._writer()
        writer.append("tags", v=machine_facts())
        path = self._folder / "files" / writer.path.stem / "packages.txt"
        path.parent.mkdir(parents=True)
        path.write_text(packages(), encoding="utf-8")
        writer.append("artifact", file=path.relative_to(self._folder).as_posix(), folder="environment")

    def _writer(self) -> JournalWriter:
        if self._journal is None:
            with runs_lock(self._project):
                self._journal = new_segment(self._folder, "sender")
        return self._journal


def deliver_left_over(project: Project, connect: Callable[[], Store]) -> list[Delivery]:
    """Deliver what dead executions left: undelivered events, runs still marked RUNNING. Returns what was tried."""
    tried = []
    for record in reversed(read_records(project)):
        lock = sender_lock(record.folder)
        try:
            lock.acquire()
        except filelock.Timeout:
            continue
        with lock:
            if record.alive():
                continue
            sender = Sender(project, record, connect)
            sender.delivery.read()
            sender._close_dead()
            sender.delivery.read()
            if sender.delivery.drained:
                continue
            sender._try()
            tried.append(sender.delivery)
    return tried


def prune(project: Project, keep: int = KEPT_RECORDS) -> None:
    """Remove delivered records but the newest; their runs are in MLflow. Undelivered ones stay."""
    for record in read_records(project)[keep:]:
        delivery = Delivery(record)
        delivery.read()
        with runs_lock(project):
            if not record.alive() and delivery.drained:
                shutil.rmtree(record.folder)


def main(folder: Path, home: Path, *, idle: bool) -> None:
    """Run the sender of a record until its execution is over. Another one that lives already makes this one end."""
    escape_unprintable()
    project = Project(workspace=home, home=home)
    lock = sender_lock(folder)
    try:
        lock.acquire()
    except filelock.Timeout:
        return
    record = read_record(folder)
    if record is None:
        return
    _lower_priority(idle)
    store: MlflowStore | None = None

    def connect() -> Store:
        nonlocal store
        if store is None:
            try:
                check_scheme(pick_target(project))
            except UserError as error:
                raise StoreUnavailable(error.problem) from None
            from samebits.tracking.upload.mlflow_store import MlflowStore

            store = MlflowStore(project, pick_target(project))
        # Its tables, while `prepare` still works.
        store.prepare(record.experiment)
        return store

    while True:
        sender = Sender(project, record, connect, IdleWorker(folder / FLUSH_REQUEST) if idle else None)
        try:
            sender.watch()
        except Preempted:
            # This thread was never idle, so the process that replaces it is not either.
            os.execv(sys.executable, [sys.executable, "-m", __spec__.name, str(folder), str(home), _NOW])
        with runs_lock(project):
            # A stage that joined meanwhile saw our lock and started no sender of its own.
            if not sender.still_wanted():
                lock.release()
                break
    if not sender.delivery.problem:
        deliver_left_over(project, connect)
        prune(project)


def _lower_priority(idle: bool) -> None:
    """Lower the CPU priority below that of the stages, and survive the end of their terminal."""
    if idle and hasattr(os, "nice"):  # else it was done before the process was replaced
        os.nice(_NICE)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), idle=_NOW not in sys.argv[3:])
