"""Waiting for the processes that send records to MLflow."""

from __future__ import annotations

import time
from pathlib import Path

from samebits.base.paths import Project
from samebits.tracking.journal.record import read_records, sender_lock
from samebits.tracking.journal.spawn import pending_events


def sender_lives(record: Path) -> bool:
    """Whether a sender holds this record's folder."""
    lock = sender_lock(record)
    try:
        lock.acquire()
    except TimeoutError:
        return True
    lock.release()
    return False


def settle(folder: Path) -> None:
    """Wait until the senders of a project have delivered and ended."""
    project = Project(folder, folder)
    deadline = time.monotonic() + 300  # on a busy machine an idle sender waits long
    while any(
        pending_events(record.folder) or record.alive() or sender_lives(record.folder)
        for record in read_records(project)
    ):
        assert time.monotonic() < deadline, "records are still to be sent"
        time.sleep(0.1)
