"""A project as a user has it: a git repository with the committed files, small parameters, DVC."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.helpers.workspace import AUTHOR, MODEL, ROOT, set_params, stage_environment

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

QUICK: dict[str, Any] = {
    "train": {"epochs": 1, "batch_size": 24, "threads": 1},
    "evaluate": {"bootstrap": 100},
    "export": {"batch_sizes": [7, 500]},
    "runtime": {"checkpoint_seconds": 0.2},
}


class Repository:
    """A clone of the project in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command there, as a user with the project's environment active."""
        return subprocess.run(
            list(command), cwd=self.folder, env=self.environment(**environment), capture_output=True, text=True
        )

    def environment(self, **extra: str) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return stage_environment(PATH=path, GIT_CONFIG_GLOBAL=os.devnull, **AUTHOR | {"PYTHONPATH": "src"} | extra)

    def dvc(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "dvc", *arguments, **environment)

    def work_off_the_queue(self, timeout: float = 600) -> list[str]:
        """Start two workers of `dvc queue`, wait, and end them; how the tasks ended: `Success`, `Failed`."""
        from dvc.repo import Repo

        # The workers outlive the command and would hold a pipe open.
        start = [sys.executable, "-m", "dvc", "queue", "start", "--jobs", "2"]
        quiet = subprocess.DEVNULL
        subprocess.run(start, cwd=self.folder, env=self.environment(), stdout=quiet, stderr=quiet, check=True)
        deadline = time.monotonic() + timeout
        while True:
            with Repo(str(self.folder)) as repo:  # each `dvc queue status` would keep a core busy for a second
                status = [str(task["status"]) for task in repo.experiments.celery_queue.status()]
            if not {"Queued", "Running"} & set(status):
                break
            assert time.monotonic() < deadline, status
            time.sleep(1)
        self.dvc("queue", "stop", "--kill")
        return status

    def git(self, *arguments: str) -> str:
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def runs(self) -> list[dict[str, Any]]:
        """Every MLflow run: name, status, params, metrics (last values), histories, tags."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.folder}/mlruns/mlflow.db")
        experiments = [each.experiment_id for each in client.search_experiments()]
        return [_plain(client, run, self.folder) for run in client.search_runs(experiments)]


def _plain(client: MlflowClient, run: Run, folder: Path) -> dict[str, Any]:
    keys = [key for key in run.data.metrics if not key.startswith("system/")]
    history = {key: [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, key)] for key in keys}
    return {
        "id": run.info.run_id,
        "name": run.info.run_name,
        "status": run.info.status,
        "params": run.data.params,
        "metrics": run.data.metrics,
        "history": history,
        "tags": run.data.tags,
        # Not the client: it keeps absolute paths by run, and copies of a repository have runs of the same id.
        "artifacts": sorted(path.name for path in (folder / run.info.artifact_uri).glob("*")),
        "inputs": [each.dataset.digest for each in run.inputs.dataset_inputs],
    }


def make_repository(folder: Path, card: Path) -> Repository:
    """Clone the committed files (as they are in the working tree), with quick parameters, committed.

    Args:
        card: takes the place of MNIST's in the catalogue.
    """
    repository = Repository(folder)
    folder.mkdir(parents=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source = ROOT / name
        if source.is_file() and not name.startswith(("tests/", "bench/")) and name != "dvc.lock":
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    shutil.copy(card, folder / "data" / "catalog" / "mnist.yaml")
    set_params(folder, QUICK, replace={"model": MODEL})
    repository.git("init", "-q", "-b", "main")
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", "start")
    return repository


_EACH = """
import contextlib, io, json, sys
from samebits.cli.main import main
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    print(json.dumps([arguments, code, out.getvalue(), err.getvalue()]))
"""


def samebits_each(repository: Repository, *commands: list[str]) -> list[subprocess.CompletedProcess[str]]:
    """Several commands in one process: each start of one imports MLflow, which takes seconds."""
    source = str(repository.folder / "src")
    done = repository.run(sys.executable, "-c", _EACH, json.dumps(commands), PYTHONPATH=source)
    assert done.returncode == 0, done.stderr
    return [subprocess.CompletedProcess(*json.loads(line)) for line in done.stdout.splitlines()]


def samebits(repository: Repository, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # `-P`-like: the repository's own code runs, as the installed command would.
    source = str(repository.folder / "src")
    return repository.run(sys.executable, "-m", "samebits.cli.main", *arguments, **{"PYTHONPATH": source} | environment)
