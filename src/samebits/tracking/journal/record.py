"""Which stages belong together: one execution of the pipeline is one record, and one record is one MLflow run.

An execution is the `dvc` process above the stages, told by pid and start time. A record is a folder,
`.samebits/runs/<key>/`, that the stages of an execution share:

    run.json      fingerprint, executions, processes            written by stages
    committed     DVC has the outputs of its finished stages     written by whoever sees it first
    journal/      one file per process                            written by each process
    files/        copies of the artefacts                       written by stages
    sent.json     how far the journal was delivered             written by the sender
    mlflow.json   the MLflow run it went to                     written by the sender

The first stage of a new execution continues the record of an earlier one for which this stage has the same
fingerprint, and in which it did not finish, or finished without DVC taking its outputs. So an interrupted pipeline
goes on in its MLflow run, and a repeated one gets a new run. Nothing of this is in a file that DVC hashes.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath

import filelock
import psutil

from samebits.base.files import write_json
from samebits.base.paths import Project
from samebits.pipeline.fingerprint import Fingerprint
from samebits.tracking.journal.committed import committed, reopen
from samebits.tracking.journal.journal import JournalWriter, Segment, new_segment, segments

_FORMAT = 2
ORPHAN_SECONDS = 60.0
"""How long a stage that outlived its `dvc` is waited for, as long as `training.store` waits for its state."""

ONLY_VARIABLE = "SAMEBITS_ONLY_ATTEMPT"
"""Set by a job of a cluster's queue, whose earlier attempts at its experiment are over, on whichever machine."""

_FOREIGN_SILENCE_S = 120.0
"""A record of another machine or container counts as dead after so long without a line in its journal."""


@dataclass(frozen=True)
class ProcessId:
    """A process that a later one with a reused pid is not taken for.

    Attributes:
        host: the machine or container.
        pid: its number there.
        born: when it started. On Linux boot id and clock ticks since the boot, which no change of the clock moves.
    """

    host: str
    pid: int
    born: str

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """Raises psutil.NoSuchProcess if there is none."""
        return cls(platform.node(), pid, _born(pid))

    def alive(self) -> bool:
        """Whether it runs on this machine; a zombie does not."""
        try:
            if self.host != platform.node() or _born(self.pid) != self.born:
                return False
            return bool(psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


def _born(pid: int) -> str:
    if sys.platform != "linux":
        return f"{psutil.Process(pid).create_time():.1f}"
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # proc(5): field 22 of stat; the second field, the name in parentheses, may hold spaces.
        return f"{boot}:{Path(f'/proc/{pid}/stat').read_bytes().rpartition(b')')[2].split()[19].decode()}"
    except (OSError, IndexError):
        raise psutil.NoSuchProcess(pid) from None


@dataclass(frozen=True)
class Execution:
    """One run of `dvc repro` or of one experiment.

    Attributes:
        anchor: the `dvc` process, or the stage itself where no `dvc` started it.
        experiment: `DVC_EXP_NAME`, else empty.
        command: how `dvc` was called, for people.
    """

    anchor: ProcessId
    experiment: str = ""
    command: str = ""

    @property
    def key(self) -> tuple[ProcessId, str]:
        return (self.anchor, self.experiment)


def current_execution(environ: Mapping[str, str] = os.environ) -> Execution:
    """The execution that this process is a stage of: its nearest ancestor that is DVC, else itself."""
    here = psutil.Process()
    experiment = environ.get("DVC_EXP_NAME", "")
    for parent in here.parents():
        try:
            command = parent.cmdline()
            if (call := dvc_call(command)) is not None:
                return Execution(ProcessId.of(parent.pid), experiment, call)
        except psutil.Error:
            continue
    return Execution(ProcessId.of(here.pid), experiment, " ".join(["python", *here.cmdline()[1:]]))


def dvc_call(command: list[str]) -> str | None:
    """`dvc repro train` for a command line that runs DVC (script, `python -m dvc`, `dvc.exe`); None for another."""
    for index, argument in enumerate(command[:4]):
        if PurePath(argument).stem == "dvc" and (index == 0 or PurePath(command[0]).stem.startswith("python")):
            rest = command[index + 1 :]
            # What a queue's worker runs; its arguments are paths of DVC's own.
            return "dvc exp run --queue" if "exec-run" in rest else " ".join(["dvc", *rest])
        if index > 0 and not argument.startswith("-"):
            return None
    return None


@dataclass
class Record:
    """A record's folder and what its stages wrote into `run.json`."""

    folder: Path
    fingerprint: Fingerprint
    experiment: str
    data_digest: str = ""
    name: str = ""
    created: float = 0.0
    executions: list[Execution] = field(default_factory=list)
    processes: list[ProcessId] = field(default_factory=list)

    @property
    def key(self) -> str:
        return self.folder.name

    def save(self) -> None:
        value = asdict(self) | {"format": _FORMAT}
        del value["folder"]
        write_json(self.folder / "run.json", value)

    def alive(self) -> bool:
        """Whether an execution of it, or a stage that outlived its `dvc`, still runs."""
        return any(self.runs(process) for process in (*(e.anchor for e in self.executions), *self.processes))

    def orphaned(self, here: ProcessId) -> bool:
        """Whether a stage of it outlived its `dvc` on this machine; `here`, the process that asks, is none."""
        if any(self.runs(execution.anchor) for execution in self.executions):
            return False
        return any(process != here and process.alive() for process in self.processes)

    def runs(self, process: ProcessId) -> bool:
        """Whether a process of this record lives; on another machine, whether the journal still grows."""
        if process.host == platform.node():
            return process.alive()
        written = max((segment.path.stat().st_mtime for segment in self.segments()), default=0.0)
        return time.time() - written < _FOREIGN_SILENCE_S

    def segments(self) -> list[Segment]:
        return segments(self.folder)

    def attempts(self, stage: str) -> list[Segment]:
        return [segment for segment in self.segments() if segment.writer == stage]

    def finished(self, stage: str) -> bool:
        """Whether an attempt at the stage ended well."""
        return any(segment.last().get("status") == "FINISHED" for segment in self.attempts(stage))


def runs_folder(project: Project) -> Path:
    return project.state / "runs"


def runs_lock(project: Project, timeout: float = 30.0) -> filelock.BaseFileLock:
    """Held while a record is looked for or changed, and while a sender decides to end."""
    folder = runs_folder(project)
    folder.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(folder / "lock", timeout=timeout)


def sender_lock(record: Path) -> filelock.BaseFileLock:
    """Held by a record's sender as long as it lives."""
    return filelock.FileLock(record / "sender.lock", timeout=0)


def read_record(folder: Path) -> Record | None:
    """The record of a folder; None if it has none that this version reads."""
    try:
        value = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(value, dict) or value.get("format") not in (1, _FORMAT):
        return None
    known = value["fingerprint"]
    return Record(
        folder=folder,
        # Format 1 had one hash of all code; its events can still be delivered.
        fingerprint=Fingerprint(known) if isinstance(known, str) else Fingerprint(**known),
        experiment=value["experiment"],
        data_digest=value["data_digest"],
        name=value["name"],
        created=value["created"],
        executions=[Execution(ProcessId(**e["anchor"]), e["experiment"], e["command"]) for e in value["executions"]],
        processes=[ProcessId(**process) for process in value["processes"]],
    )


def read_records(project: Project) -> list[Record]:
    """All records, newest first."""
    found = [read_record(path.parent) for path in runs_folder(project).glob("*/run.json")]
    return sorted((r for r in found if r), key=lambda record: (record.created, record.key), reverse=True)


@dataclass(frozen=True)
class Opened:
    """What a stage gets.

    Attributes:
        record: the record it writes to.
        journal: its own segment.
        first: whether this is the first stage of its execution.
        continued: whether an earlier execution's record goes on.
        earlier_s: seconds that earlier attempts at this stage took in this record.
    """

    record: Record
    journal: JournalWriter
    first: bool
    continued: bool
    earlier_s: float


def open_record(
    project: Project, *, stage: str, fingerprint: Fingerprint, name: str, experiment: str, data_digest: str = ""
) -> Opened:
    """Find or make the record of this process's execution, and add this process to it.

    Args:
        name: the run's name where DVC gives none.
        experiment: name of the MLflow experiment.
        data_digest: digest of the prepared data that the stage reads; a record with another one is not continued.
    """
    execution, process = current_execution(), ProcessId.of(os.getpid())
    _await_orphans(project, process, stage, fingerprint)
    with runs_lock(project):
        record, first = _find(project, execution, stage, fingerprint, data_digest)
        continued = record is not None and first
        if record is None:
            short = fingerprint.whole[:8]
            folder = runs_folder(project) / f"{time.strftime('%Y%m%d-%H%M%S')}-{short}-{uuid.uuid4().hex[:6]}"
            folder.mkdir(parents=True)
            record = Record(folder, fingerprint, experiment, created=time.time())
        if first:
            reopen(record)
            record.fingerprint = fingerprint
            record.executions.append(execution)
        record.processes = [*(known for known in record.processes if record.runs(known)), process]
        record.data_digest = data_digest or record.data_digest
        record.name = execution.experiment or record.name or name
        record.save()
        earlier = sum(_seconds(segment) for segment in record.attempts(stage))
        return Opened(record, new_segment(record.folder, stage), first, continued, earlier)


def _await_orphans(project: Project, here: ProcessId, stage: str, fingerprint: Fingerprint) -> None:
    """A stage whose `dvc` was killed notices it and stops within a batch. Once it has, its run is gone on with."""
    until = time.monotonic() + ORPHAN_SECONDS
    while any(
        record.fingerprint.same_for(stage, fingerprint) and record.orphaned(here) for record in read_records(project)
    ):
        if time.monotonic() > until:
            return
        time.sleep(0.1)


def _find(
    project: Project, execution: Execution, stage: str, fingerprint: Fingerprint, data_digest: str
) -> tuple[Record | None, bool]:
    records = read_records(project)
    for record in records:
        if any(known.key == execution.key for known in record.executions):
            # A fingerprint that changed inside an execution (an edit while it ran) still belongs to it.
            return record, False
    for record in records:
        same_data = stage == "prepare" or not record.data_digest or record.data_digest == data_digest
        alive = record.alive() and not _replaced(record, execution)
        if not record.fingerprint.same_for(stage, fingerprint) or not same_data or alive:
            continue
        if not record.finished(stage) or not committed(record, project.workspace, project.home):
            return record, True
    return None, True


def _replaced(record: Record, execution: Execution, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether all executions of a record are earlier attempts at this one, and known to be over."""
    return ONLY_VARIABLE in environ and all(
        known.experiment == execution.experiment != "" for known in record.executions
    )


def _seconds(segment: Segment) -> float:
    first, last = segment.first(), segment.last()
    return (last["t"] - first["t"]) / 1000 if first and last else 0.0


def prepared_digest(project: Project) -> str:
    """The digest that `prepare` wrote; empty without prepared data."""
    try:
        value = json.loads((project.prepared / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    digest = value.get("digest", "") if isinstance(value, dict) else ""
    return digest if isinstance(digest, str) else ""
