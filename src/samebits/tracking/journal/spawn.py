"""Start a sender beside a stage, and wait for it: what the stage process knows of delivery."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import filelock

import samebits
from samebits.base.paths import Project
from samebits.tracking.journal.journal import Segment, segments
from samebits.tracking.journal.record import Record, runs_lock, sender_lock
from samebits.tracking.journal.run_state import should_create_run
from samebits.tracking.tracking_uri import without_password

FLUSH_REQUEST = "hurry"
"""A file in a record's folder, touched when a stage waits for delivery."""

_POLL_S = 0.02
_OWN_GROUP: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}


def ensure_sender(project: Project, record: Path) -> bool:
    """Start a sender for the record unless one lives. Returns whether one was started.

    It is in no process group of ours, so it outlives Ctrl-C, SIGTERM and SIGKILL of the stage, and ignores the end of
    the terminal. It stays in the session: Linux may share the processors out among sessions first, and then one that is
    alone in its own takes a third of a core from a training, whatever its priority.
    """
    with runs_lock(project):
        lock = sender_lock(record)
        try:
            lock.acquire()
        except filelock.Timeout:
            return False
        lock.release()
        with (record / "sender.log").open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", "samebits.tracking.upload.sender", str(record), str(project.home)],
                cwd=project.home,
                env=sender_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **_OWN_GROUP,
            )
    return True


def sender_environment() -> dict[str, str]:
    """Ours, with this very samebits importable and MLflow quiet and quick to give up."""
    environ = dict(os.environ)
    # The allocator of launch.py keeps freed memory; the sender had better give it back.
    environ.pop("GLIBC_TUNABLES", None)
    package = str(Path(samebits.__file__).parents[1])
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, [package, environ.get("PYTHONPATH", "")]))
    environ["MLFLOW_DISABLE_TELEMETRY"] = environ["DO_NOT_TRACK"] = "true"
    environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    environ.setdefault("OMP_NUM_THREADS", "1")
    return environ


def read_sent(record: Path) -> dict[str, Any]:
    """What the sender last reported: `offsets` per segment, and `problem` if the store does not take events."""
    try:
        value = json.loads((record / "sent.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def pending_events(record: Path) -> int:
    """Lines of the journal that wait for delivery. Those of an execution that gets no run do not count."""
    if not should_create_run(record):
        return 0
    offsets = read_sent(record).get("offsets", {})
    count = 0
    for segment in segments(record):
        with segment.path.open("rb") as file:
            file.seek(offsets.get(segment.name, 0))
            while block := file.read(1 << 20):
                count += block.count(b"\n")
    return count


def await_delivery(project: Project, record: Record, journal: Path, seconds: float) -> str:
    """Wait until the sender has delivered a segment. Returns a warning, or an empty string if all is well.

    It stops waiting as soon as the sender reports that the store does not answer; it is reported once per execution.
    """
    segment = Segment(journal)
    end = segment.end()
    # Makes a sender that waits before its next try do it now.
    (record.folder / FLUSH_REQUEST).touch()
    deadline = time.monotonic() + seconds
    started = time.time()
    problem = ""
    while time.monotonic() < deadline:
        sent = read_sent(record.folder)
        if sent.get("offsets", {}).get(segment.name, 0) >= end:
            return ""
        problem = sent.get("problem", "")
        # A problem of before our last event may be over; one that was met since is not.
        if problem and sent.get("tried", 0.0) >= started:
            break
        time.sleep(_POLL_S)
    if not problem:
        # Slow, on a busy machine: the sender goes on after this stage.
        return ""
    said = record.folder / "warned"
    mark = repr(record.executions[-1].key)
    if said.exists() and said.read_text(encoding="utf-8") == mark:
        return ""
    said.write_text(mark, encoding="utf-8")
    where = _relative(record.folder, project.home)
    waiting = pending_events(record.folder)
    return f"warning: {without_password(problem)}; {waiting} events wait in {where}; `samebits runs sync` sends them"


def _relative(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)
