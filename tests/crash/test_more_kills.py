"""Kills and failures at chosen places: twice in one epoch, and a disk that fills up while a state is written."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.helpers.interrupt import start
from tests.helpers.workspace import outputs, run_stage, set_params, stage_environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.name != "posix", reason="signals"),
]

STEPS_AN_EPOCH = 43


def saved_step(workspace: Path) -> int:
    """The step of the newest whole state; 0 without one."""
    found = (workspace / ".samebits" / "resume").glob("*/*[0-9]/complete.json")
    return max((int(file.parent.name) for file in found), default=0)


def kill_after(workspace: Path, step: int) -> int:
    """Start the training, kill it once a state of that step or a later one is saved; returns the step saved last."""
    process = start(workspace)
    while saved_step(workspace) < step:
        assert process.poll() is None, "the training ended before it was killed"
    process.kill()
    process.communicate()
    return saved_step(workspace)


def test_two_kills_in_one_epoch(long: Path, straight: dict[str, str]) -> None:
    """The second training is killed in the epoch in which the first one was."""
    set_params(long, {"runtime": {"checkpoint_seconds": 1e-6}})
    first = kill_after(long, STEPS_AN_EPOCH * 2 + 1)
    second = kill_after(long, first + 1)
    while second // STEPS_AN_EPOCH != first // STEPS_AN_EPOCH:  # on a busy machine the kill may come an epoch late
        first, second = second, kill_after(long, second + 1)
    assert second > first
    result = run_stage(long, "train")
    assert f"resuming at step {second}" in result.stdout
    assert outputs(long) == straight


@pytest.mark.skipif(sys.platform != "linux", reason="file names of descriptors")
@pytest.mark.parametrize("turn", [1, 30])
def test_a_full_disk_stops_with_its_fix_and_loses_nothing(turn: int, long: Path, straight: dict[str, str]) -> None:
    """The device says ENOSPC when a state's file is synced for the n-th time."""
    set_params(long, {"runtime": {"checkpoint_seconds": 1e-6}})
    filler = textwrap.dedent(f"""
        import errno, os, runpy, sys
        sys.path.insert(0, "src")
        os.environ["SAMEBITS_LAUNCHED"] = "1"
        sync, calls = os.fsync, [0]

        def full(descriptor):
            calls[0] += "/resume/" in os.readlink(f"/proc/self/fd/{{descriptor}}")
            if calls[0] >= {turn}:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(descriptor)

        os.fsync = full
        runpy.run_path("stages/train.py", run_name="__main__")
    """)
    full = subprocess.run(
        [sys.executable, "-c", filler], cwd=long, env=stage_environment(), capture_output=True, text=True
    )
    assert full.returncode == 2, full.stderr
    assert "the disk is full: the training state of step" in full.stderr
    assert "free some space" in full.stderr
    assert "Traceback" not in full.stderr
    assert not list((long / ".samebits" / "resume").glob("*/*.tmp")), "the half-written state is removed"
    saved = saved_step(long)
    assert (saved > 0) == (turn > 1), "the states of before are kept"
    result = run_stage(long, "train")
    assert (f"resuming at step {saved}" in result.stdout) == (saved > 0)
    assert outputs(long) == straight
