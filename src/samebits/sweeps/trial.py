"""One trial: `dvc exp run --temp` in a process, its validation curve while it runs, its numbers when it is done."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.base.git import file_at
from samebits.base.nested import flatten
from samebits.base.paths import Project
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_hashes import existing_md5
from samebits.pipeline.dvc_lock import LOCK, LockedStage, overlap, read_lock
from samebits.sweeps.space import Point, overrides, put
from samebits.sweeps.spec import metric_files
from samebits.tracking.journal.record import Record, read_record, read_records
from samebits.tracking.journal.replay import finite_numbers

_PR_SET_PDEATHSIG = 1
_RUNNING = 2
"""DVC's task status from which on an experiment is over is higher (dvc/repo/experiments/executor/base.py)."""

_BUSY = ("Unable to acquire lock", "it is being blocked by", "cannot lock ref", "index.lock")
_TRIES = 5


class Experiment:
    """A trial's `dvc exp run --temp -n NAME -S …`.

    Args:
        point: parameters of this trial, those of `set` included.
        target: the stage to run up to.
        environment: more variables, as `CUDA_VISIBLE_DEVICES`.
        log: a file that gets what DVC and the stages print.
    """

    def __init__(
        self, project: Project, name: str, point: Point, target: str, environment: Mapping[str, str], log: Path
    ) -> None:
        self.project = project
        self.name = name
        self.log = log
        self._command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "-n", name, target]
        for each in overrides(read_yaml(project.params_file), point):
            self._command += ["-S", each]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._record: Path | None = None
        self._started = 0.0
        self.tries = 0

    def start(self) -> None:
        """Start it, in a session of its own: a Ctrl-C at the terminal is for the sweep alone, which then stops it."""
        remove_left_over(self.project, self.name)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._started = time.time()
        self.tries += 1
        environ = {k: v for k, v in os.environ.items() if not k.startswith("DVC_EXP_")} | dict(self._environment)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.project.home,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()) if sys.platform == "linux" else None,  # noqa: PLW1509
            )

    def poll(self) -> int | None:
        """DVC's exit code, None while it runs. One that only met a lock of DVC's is started again."""
        assert self._process is not None
        code = self._process.poll()
        if code and self.tries < _TRIES and any(word in self.printed() for word in _BUSY):
            time.sleep(0.5 * self.tries)
            self.log.write_bytes(b"")
            self.start()
            return None
        return code

    def printed(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""

    def reason(self) -> str:
        """The lines of the log that say why it failed."""
        lines = [line.strip() for line in self.printed().splitlines() if line.strip()]
        telling = [n for n, line in enumerate(lines) if "error:" in line.lower() and "failed to reproduce" not in line]
        if not telling:
            return "\n".join(lines[-5:]) or "dvc printed nothing"
        return "\n".join(lines[telling[0] : telling[0] + 2])

    def record(self) -> Record | None:
        """The record that its stages write to, once there is one."""
        if self._record is None:
            for record in read_records(self.project):
                if any(execution.experiment == self.name for execution in record.executions):
                    self._record = record.folder
                    break
        return read_record(self._record) if self._record else None

    def curve(self, metric: str) -> list[float]:
        """The metric's points so far, by the order of their steps: one per epoch for those of validation."""
        record = self.record()
        if record is None:
            return []
        points: dict[int, float] = {}
        for segment in record.attempts("train"):
            for event in segment.events():
                if event["k"] == "metrics" and metric in event["v"]:
                    points[int(event["step"])] = float(event["v"][metric])
        return [points[step] for step in sorted(points)]

    def ask_to_stop(self) -> None:
        """SIGTERM to the stages: they save their state, and DVC then removes its temporary folder."""
        record = self.record()
        alive = [process for process in record.processes if process.alive()] if record else []
        for process in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        if not alive and self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait until it has ended; kill what has not by then."""
        assert self._process is not None
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _die_with(parent: int) -> Any:
    """DVC gets SIGTERM when the sweep dies, and a stage when DVC dies (stop.py)."""
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def remove_left_over(project: Project, name: str) -> None:
    """Remove the temporary folder of an experiment of this name whose DVC was killed."""
    for file in (project.home / ".dvc" / "tmp" / "exps" / "run").glob("*/*.run"):
        try:
            info = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        folder = Path(info.get("root_dir") or "/nowhere")
        ours = info.get("name") == name and info.get("status", _RUNNING) <= _RUNNING
        if ours and folder.is_relative_to(project.home / ".dvc" / "tmp" / "exps") and folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)


def experiment_results(project: Project, revision: str, stages: list[str]) -> tuple[dict[str, float], dict[str, str]]:
    """What the metrics files of an experiment's stages hold.

    Returns:
        the numbers, named as in MLflow; and of metrics of the user's own which end is better.
    """
    found: dict[str, float] = {}
    better: dict[str, str] = {}
    for path in metric_files(project.workspace, stages):
        if found_there := file_at(project.home, revision, path.relative_to(project.workspace).as_posix()):
            document = json.loads(found_there)
            found |= finite_numbers(document)
            better |= document.get("better", {})
    return found, better


def lock_at(project: Project, revision: str) -> list[LockedStage]:
    """The stages of dvc.lock in a commit; none where it has no such file.

    Raises:
        UserError: if it is no lock of DVC's.
    """
    text = file_at(project.home, revision, LOCK)
    if not text:
        return []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / LOCK).write_bytes(text)
        return read_lock(Path(folder))


def read_files(stages: Iterable[LockedStage], everything: Iterable[LockedStage]) -> dict[str, str]:
    """What these stages read and no stage writes: path to MD5."""
    written = [out for stage in everything for out in stage.outs]
    return {
        path: md5 for stage in stages for path, md5 in stage.deps.items() if not any(overlap(path, w) for w in written)
    }


def require_same(
    project: Project, name: str, revision: str, wanted: Mapping[str, Any], stages: Collection[str]
) -> None:
    """Hold an experiment that is there already against what a trial would run.

    Args:
        wanted: all of params.yaml as the trial would have it; `runtime`, which changes no result, is not looked at.
        stages: those that a trial runs.

    Raises:
        UserError: if it has other parameters or other code: it is somebody else's.
    """
    scratch = project.state / "sweeps" / f".{name}.params.yaml"
    scratch.write_bytes(file_at(project.home, revision, "params.yaml"))
    try:
        theirs = read_yaml(scratch)
    finally:
        scratch.unlink()
    ours, others = (flatten({k: v for k, v in put(each, {}).items() if k != "runtime"}) for each in (wanted, theirs))
    other = sorted(key for key in ours.keys() | others.keys() if ours.get(key) != others.get(key))
    everything = lock_at(project, revision)
    read = read_files([stage for stage in everything if stage.name in stages], everything)
    # Not the data: they may take minutes to hash, and DVC looks at them before each stage.
    code = {path: md5 for path, md5 in read.items() if not path.startswith("data/")}
    other += [path for path, md5 in code.items() if existing_md5(project.workspace / path) != md5]
    if other:
        raise UserError(
            f"there is a DVC experiment {name} already, with another {listed(other)}",
            f"remove it (dvc exp remove {name}), or give the sweep another `name`",
        )
