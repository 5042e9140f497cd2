"""Runs a training, hits it with a signal at chosen moments, and lets it finish; or stops it after some steps."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from samebits.base.signals import StopRequest
from tests.helpers.workspace import run_stage, stage_environment

STARTED = "train: convnet on mnist"

LONG: dict[str, Any] = {"train": {"epochs": 12}}
"""Long enough that a random moment falls into the training."""


def start(workspace: Path) -> subprocess.Popen[str]:
    """Start `train` and return when it is about to build its model."""
    process = subprocess.Popen(
        [sys.executable, "stages/train.py"],
        cwd=workspace,
        env=stage_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if line.startswith(STARTED):
            return process
    raise AssertionError(f"train did not start: exit {process.wait()}")


def interrupt(workspace: Path, delays: Iterable[float], number: signal.Signals = signal.SIGKILL) -> list[int]:
    """Signal the training after each delay (seconds since it started), then run it to its end.

    Returns:
        The exit codes of the runs that the signal ended.
    """
    codes = []
    for delay in delays:
        process = start(workspace)
        time.sleep(delay)
        process.send_signal(number)
        process.communicate(timeout=120)
        codes.append(process.returncode)
    last = run_stage(workspace, "train")
    assert last.returncode == 0, last.stderr
    return codes


class StopAfter(StopRequest):
    """Asked for before the loop has looked so many times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._left = looks

    @property
    def requested(self) -> bool:  # type: ignore[override]
        self._left -= 1
        return self._left <= 0

    @requested.setter
    def requested(self, value: bool) -> None:
        """`StopRequest` begins with False."""
