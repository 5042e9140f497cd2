"""A model cut over processes: the bytes of one process, and states that another number of processes goes on from."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.helpers.text_project import write_running_text
from tests.helpers.workspace import OUTPUTS, make_code, run_stage, set_params, stage_environment

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")]


def train(workspace: Path, processes: int, *, again: bool = False) -> str:
    set_params(
        workspace,
        {
            "train": {"checkpoint_activations": again},
            "runtime": {"processes": processes, "checkpoint_seconds": 0.1},
        },
    )
    done = run_stage(workspace, "train")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def outputs(workspace: Path) -> dict[str, bytes]:
    return {name: (workspace / name).read_bytes() for name in OUTPUTS}


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny gpt: 8 micro-batches a batch, dropout, tied weights of 36 columns, a clipped gradient, an average."""
    workspace = make_code(tmp_path_factory.mktemp("book") / "workspace")
    write_running_text(workspace / "data" / "raw" / "books")
    text = {"tokenizer": "bpe", "length": 16, "vocabulary": 300}
    data = {"source": "data/raw/books", "format": "running_text", "validation_fraction": 0.2, "test_fraction": 0.2}
    settings = {"epochs": 2, "batch_size": 32, "micro_batch_size": 4, "threads": 1, "precision": "fp32"}
    more = {"elastic": True, "shard": True, "gradient_clip": 0.3, "ema_decay": 0.9, "select": "best"}
    set_params(
        workspace,
        {"data": data | {"text": text}, "train": settings | more, "runtime": {"tracking": {"enabled": False}}},
        replace={
            "task": {"name": "language_model"},
            "model": {"name": "gpt", "layers": 2, "heads": 2, "width": 36, "dropout": 0.1},
        },
    )
    set_params(workspace, {"train": {"optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.1}}})
    prepared = run_stage(workspace, "prepare")
    assert prepared.returncode == 0, prepared.stderr
    return workspace


@pytest.fixture(scope="module")
def whole(book: Path) -> dict[str, bytes]:
    """What one process writes."""
    train(book, 1)
    return outputs(book)


def clear(workspace: Path) -> None:
    for name in OUTPUTS:
        (workspace / name).unlink()


def test_three_processes_that_recompute_give_the_bytes_of_one(book: Path, whole: dict[str, bytes]) -> None:
    """8 micro-batches are three rounds, of which one lacks a micro-batch; 36 rows are no multiple of a vector."""
    clear(book)
    train(book, 3, again=True)
    assert outputs(book) == whole


def test_another_number_of_processes_goes_on(book: Path, whole: dict[str, bytes]) -> None:
    """Killed with 4 processes, then with 1; 2 finish."""
    clear(book)
    reached = 0
    for processes in (4, 1):
        reached = killed_after(book, processes, reached + 1)
    assert "resuming at step" in train(book, 2)
    assert outputs(book) == whole


def killed_after(workspace: Path, processes: int, step: int) -> int:
    """Train until a state of that step or a later one is saved whole; that step."""
    set_params(workspace, {"runtime": {"processes": processes, "checkpoint_seconds": 0.01}})
    command = [sys.executable, "stages/train.py"]
    process = subprocess.Popen(command, cwd=workspace, env=stage_environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    try:
        while process.poll() is None and time.monotonic() < deadline:
            states = sorted((workspace / ".samebits" / "resume").glob("*/*[0-9]/complete.json"))
            if states and (found := int(states[-1].parent.name)) >= step:
                process.kill()
                process.wait()
                state = load_file(states[-1].with_name("state.safetensors"))
                assert state["model.embedding.weight"].shape == (300, 36)
                assert state["optimizer.0.exp_avg"].shape == (108, 36)  # all rows of queries, keys and values
                return found
            time.sleep(0.02)
    finally:
        process.kill()
    raise AssertionError(f"no state of step {step}: exit {process.wait()}")
