"""Elastic training: the same bytes from 1, 2 and 4 processes, and when their number changes on the way."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.shared import shared
from tests.helpers.workspace import make_workspace, run_stage, set_params, stage_environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="gloo's file store and signals as on POSIX"),
]

OUTPUTS = ("models/checkpoint/model.safetensors", "reports/train/curves.csv", "reports/train/metrics.json")


def elastic_workspace(folder: Path, prepared: Path, processes: int) -> Path:
    """Batches of 64 in 4 micro-batches; a model with dropout, whose random stream must not depend on the process."""
    workspace = make_workspace(folder, prepared)
    set_params(
        workspace,
        {"train": {"elastic": True, "micro_batch_size": 16}, "model": {"dropout": 0.2}},
    )
    with_processes(workspace, processes)
    return workspace


def with_processes(workspace: Path, processes: int) -> None:
    set_params(workspace, {"runtime": {"processes": processes, "checkpoint_seconds": 0.1}})


def outputs(workspace: Path) -> dict[str, bytes]:
    return {name: (workspace / name).read_bytes() for name in OUTPUTS}


def train(workspace: Path) -> str:
    done = run_stage(workspace, "train")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def one_process(small_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process writes."""
    return outputs(
        shared(tmp_path_factory, "one-process", lambda folder: train(elastic_workspace(folder, small_mnist, 1)))
    )


@pytest.mark.parametrize("processes", [2, 4])
def test_any_number_of_processes_gives_the_same_bytes(
    processes: int, one_process: dict[str, bytes], small_mnist: Path, tmp_path: Path
) -> None:
    workspace = elastic_workspace(tmp_path / "workspace", small_mnist, processes)
    assert f"{processes} processes" in train(workspace)
    assert outputs(workspace) == one_process


def test_torchrun_gives_the_same_bytes(one_process: dict[str, bytes], small_mnist: Path, tmp_path: Path) -> None:
    workspace = elastic_workspace(tmp_path / "workspace", small_mnist, 1)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "stages/train.py"], cwd=workspace, env=stage_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert outputs(workspace) == one_process


def test_the_number_may_change_after_a_kill(one_process: dict[str, bytes], small_mnist: Path, tmp_path: Path) -> None:
    """SIGKILL in a training of 2 processes, again in one of 4, then 1 ends it."""
    workspace = elastic_workspace(tmp_path / "workspace", small_mnist, 2)
    states = workspace / ".samebits" / "resume"
    seen: set[Path] = set()
    for processes in (2, 4):
        with_processes(workspace, processes)
        child = subprocess.Popen([sys.executable, "stages/train.py"], cwd=workspace, env=stage_environment())
        while not (new := set(states.glob("*/*[0-9]/complete.json")) - seen):
            assert child.poll() is None
            time.sleep(0.01)
        seen |= new
        child.kill()
        child.wait()
    with_processes(workspace, 1)
    assert "resuming at step" in train(workspace)
    assert outputs(workspace) == one_process


def test_plain_parallel_training_says_that_its_bits_differ(
    one_process: dict[str, bytes], small_mnist: Path, tmp_path: Path
) -> None:
    workspace = elastic_workspace(tmp_path / "workspace", small_mnist, 2)
    set_params(workspace, {"train": {"elastic": False}})
    refused = run_stage(workspace, "train")
    assert refused.returncode == 2
    assert "2 processes without train.elastic" in refused.stderr
    set_params(workspace, {"reproducibility": "warn"})
    assert "the bits depend on the number of processes (2)" in train(workspace)
    assert outputs(workspace)[OUTPUTS[0]] != one_process[OUTPUTS[0]]


def test_a_helper_that_dies_ends_the_training_with_a_message(small_mnist: Path, tmp_path: Path) -> None:
    workspace = elastic_workspace(tmp_path / "workspace", small_mnist, 2)
    states = workspace / ".samebits" / "resume"
    child = subprocess.Popen(
        [sys.executable, "stages/train.py"], cwd=workspace, env=stage_environment(), stderr=subprocess.PIPE, text=True
    )
    while not list(states.glob("*/*[0-9]/complete.json")):
        assert child.poll() is None
        time.sleep(0.01)
    subprocess.run(["pkill", "-KILL", "-P", str(child.pid)], check=True)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 2
    assert f"process 1 of 2 on host {socket.gethostname()} ended with exit code -9" in said
    assert "Traceback" not in said
