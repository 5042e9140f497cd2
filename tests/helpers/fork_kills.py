"""Kills trainings at random moments, many in little time: children are forked from a process that has imported torch.

    PYTHONPATH=WORKSPACE/src python fork_kills.py WORKSPACE SEED COUNT KILLS_EACH     prints one JSON line

A forked child is a stage's process like any other from `run_stage` on. Its records go to the journal as always; the
sender, which would import MLflow once for each child, is left out: the test delivers the journals afterwards.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import psutil

from samebits import stage
from samebits.base.files import sha256_file
from samebits.base.launch import environment
from samebits.params.schema import read_params
from samebits.tracking.journal import (
    spawn,
    tracker,  # noqa: F401
)
from samebits.training import train  # noqa: F401

workspace, seed, count, kills_each = Path(sys.argv[1]), *map(int, sys.argv[2:5])

LONGEST_S = 1.5
"""Of a child's CPU time between its first line and the kill: on a busy machine it comes as far as on an idle one."""

BEGINS = b"train: convnet on mnist"

OUTPUTS = ("models", "reports")


def run_child(log: int) -> int:
    """Fork a training; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 1
    try:
        code = stage.run_stage("train", "samebits.training.train:train", workspace)
    finally:
        os._exit(code)


def wait_for(pid: int, seconds: float, log: Path, begun: int) -> None:
    """Until the child has used so much CPU time since it began to train (the line number `begun`), or has ended."""
    child, since = psutil.Process(pid), None
    while child.status() != psutil.STATUS_ZOMBIE:
        used = sum(child.cpu_times()[:2])
        if since is None and log.read_bytes().count(BEGINS) >= begun:
            since = used
        if since is not None and used - since >= seconds:
            return
        time.sleep(0.003)


def hashes() -> dict[str, str]:
    files = [path for name in OUTPUTS for path in sorted((workspace / name).rglob("*")) if path.is_file()]
    return {path.relative_to(workspace).as_posix(): sha256_file(path) for path in files}


def main() -> None:
    os.environ.update(environment())
    # What is imported before the forks need not be by each child, which would take longer for it than for training.
    read_params(workspace / "params.yaml")
    spawn.ensure_sender = lambda *_: False
    spawn.await_delivery = lambda *_: ""
    chosen = random.Random(seed)
    hit, begun, delays, results = 0, 0, [], []
    file = workspace / "children.log"
    with file.open("wb", buffering=0) as log:
        while hit < count:
            for name in OUTPUTS:  # as DVC does before a stage
                shutil.rmtree(workspace / name, ignore_errors=True)
            for kill in range(kills_each + 1):
                pid = run_child(log.fileno())
                if kill < kills_each and hit < count:
                    delays.append(chosen.uniform(0.0, LONGEST_S))
                    begun += 1
                    wait_for(pid, delays[-1], file, begun)
                    os.kill(pid, signal.SIGKILL)
                    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    hit += code == -signal.SIGKILL
                    if code != -signal.SIGKILL:
                        break  # it was done before
                else:
                    begun += 1
                    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    break
            results.append({"code": code, "hashes": hashes()})
    print(json.dumps({"hit": hit, "delays": delays, "trainings": results}))


if __name__ == "__main__":
    main()
