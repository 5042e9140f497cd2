"""A process that logs metric points as a training does, between pieces of work, and what that costs it.

python bench/ours/points.py WORKSPACE --points 1000000 [--off]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from samebits.base.paths import Project
from samebits.params.runtime import RuntimeParams
from samebits.tracking.journal.tracker import NullTracker, open_tracker

NAMES = ("train/loss", "train/lr", "train/norm", "train/rate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--off", action="store_true", help="the same work, and nothing logged")
    arguments = parser.parse_args()
    workspace = arguments.workspace.resolve()
    project = Project(workspace=workspace, home=workspace)
    tracker = (
        NullTracker()
        if arguments.off
        else open_tracker(
            project, RuntimeParams(), stage="train", params={"seed": 0}, say=lambda line: print(line, file=sys.stderr)
        )
    )
    work = np.random.default_rng(0).standard_normal((48, 48))
    longest, calls = 0.0, arguments.points // len(NAMES)
    began, used = time.perf_counter(), time.process_time()
    for step in range(calls):
        for _ in range(4):
            result = work @ work
        values = dict.fromkeys(NAMES, float(result[0, 0]) + step)
        before = time.perf_counter()
        tracker.metrics(values, step)
        longest = max(longest, time.perf_counter() - before)
    found = {
        "loop_seconds": time.perf_counter() - began,
        "loop_cpu": time.process_time() - used,
        "longest_ms": longest * 1000,
        "calls": calls,
    }
    began = time.perf_counter()
    tracker.close("FINISHED")
    found["close_seconds"] = time.perf_counter() - began
    found["journal_mib"] = sum(p.stat().st_size for p in workspace.rglob("*-train.jsonl")) / 2**20
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
