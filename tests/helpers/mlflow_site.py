"""Stages as real processes, and a real `mlflow server` on loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import samebits
from samebits.base.paths import Project
from samebits.tracking.journal.record import read_records
from samebits.tracking.journal.spawn import pending_events, sender_environment
from tests.helpers.ports import free_port
from tests.helpers.senders import sender_lives

SOURCE = Path(samebits.__file__).parents[2]

PATIENCE_S = 300

STAGE = '''
"""stage.py STAGE SEED FIRST LAST PAUSE END"""
import sys, time
from samebits.params.runtime import RuntimeParams
from samebits.base.paths import current_project
from samebits.tracking.journal import journal_tracker
from samebits.tracking.journal.tracker import open_tracker

# The wait ends as soon as the sender has an answer: on a busy machine, where it takes longer to start, later.
journal_tracker.WAIT_S = 120.0
stage, seed, first, last, pause, end = sys.argv[1:]
tracker = open_tracker(current_project(), RuntimeParams(), stage=stage, params={"seed": int(seed)})
for step in range(int(first), int(last)):
    tracker.metrics({f"{stage}/loss": 1 / (step + 1)}, step)
    time.sleep(float(pause))
print("done", flush=True)
tracker.close(end, "Traceback: boom" if end == "FAILED" else None)
'''


class Site:
    """A project folder whose stages are run as processes."""

    def __init__(self, folder: Path, uri: str = "") -> None:
        folder.mkdir(exist_ok=True)
        self.project = Project(workspace=folder, home=folder)
        (folder / "params.yaml").write_text("seed: 0\n")
        (folder / "stage.py").write_text(STAGE)
        kept = ("MLFLOW_", "DVC_", "PYTHONPATH")
        self.environ = {key: value for key, value in os.environ.items() if not key.startswith(kept)}
        self.environ |= {"PYTHONPATH": str(SOURCE), "GIT_CEILING_DIRECTORIES": str(folder.parent)}
        if uri:
            self.environ["MLFLOW_TRACKING_URI"] = uri

    def start(
        self, stage: str, *, seed: int = 0, first: int = 0, last: int = 20, pause: float = 0.0, end: str = "FINISHED"
    ) -> subprocess.Popen[str]:
        command = [sys.executable, "stage.py", stage, *map(str, (seed, first, last, pause)), end]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.project.home, env=self.environ, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )

    def run(self, stage: str, **more: Any) -> str:
        process = self.start(stage, **more)
        output, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, output
        return output

    def settle(self, *, delivered: bool = True) -> None:
        """Wait until all is delivered and no sender lives."""
        for record in read_records(self.project):
            eventually(lambda record=record: not delivered or pending_events(record.folder) == 0)
            eventually(lambda record=record: not sender_lives(record.folder))


def eventually(condition: Callable[[], bool]) -> None:
    deadline, pause = time.monotonic() + PATIENCE_S, 0.02
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(pause)
        pause = min(1.5 * pause, 0.5)  # to ask a store or a server all the time slows down what is waited for


def runs_of(uri: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def points_of(uri: str, run: Any) -> Counter[tuple[str, int]]:
    """How often each (metric, step) of the stages is there; the machine's own metrics are left out."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    names = [name for name in run.data.metrics if not name.startswith(("system/", "time/"))]
    return Counter((name, point.step) for name in names for point in client.get_metric_history(run.info.run_id, name))


def once(stage: str, last: int) -> dict[tuple[str, int], int]:
    return {(f"{stage}/loss", step): 1 for step in range(last)}


class Server:
    """A real tracking server."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environ = sender_environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/s.db", "--artifacts-destination", "artifacts"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environ, stdout=log, stderr=log, start_new_session=True
            )
        eventually(self.answers)

    def answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=2):
            return True
        return False

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
