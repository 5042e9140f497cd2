"""`dvc repro`, `dvc exp run`, `--temp` and `--queue`: the same lock, whichever way the same commit was run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pipeline.conftest import Repository

pytestmark = [pytest.mark.pipeline, pytest.mark.slow, pytest.mark.timeout(900)]


def locked(repository: Repository, name: str) -> str:
    """dvc.lock as the experiment of that name has it."""
    refs = repository.git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    (ref,) = [each for each in refs if each.endswith(f"/{name}")]
    return repository.git("show", f"{ref}:dvc.lock")


@pytest.mark.skipif(sys.platform == "win32", reason="dvc queue")
def test_every_way_makes_the_same_bytes(committed: Repository, tmp_path: Path) -> None:
    shutil.copytree(committed.folder, tmp_path / "project", symlinks=True)
    repository = Repository(tmp_path / "project")
    expected = (repository.folder / "dvc.lock").read_text()
    # Forced: neither an output that is up to date nor the run cache stands in for a stage.
    for name, options in {"in-workspace": [], "in-temp": ["--temp"]}.items():
        done = repository.dvc("exp", "run", "--force", "-n", name, *options)
        assert done.returncode == 0, done.stderr
        assert "Running stage 'train'" in done.stdout
        assert locked(repository, name) == expected
    queued = repository.dvc("exp", "run", "--force", "--queue", "-n", "queued")
    assert queued.returncode == 0, queued.stderr
    # The workers outlive the command and would hold a pipe open.
    start = [sys.executable, "-m", "dvc", "queue", "start"]
    subprocess.run(start, cwd=repository.folder, env=repository.environment(), stdout=subprocess.DEVNULL, check=True)
    deadline = time.monotonic() + 600
    while "Queued" in (status := repository.dvc("queue", "status").stdout) or "Running" in status:
        assert time.monotonic() < deadline, status
        time.sleep(1)
    assert "Success" in status, repository.dvc("queue", "logs", "queued").stdout
    repository.dvc("queue", "stop", "--kill")
    assert locked(repository, "queued") == expected
