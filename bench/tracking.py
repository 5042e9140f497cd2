"""What logging adds to a training: time inside `tracker.metrics`, and the same steps with and without it, in turn.

    python bench/tracking.py [--rounds 20]

A round is 1,000 steps of one thread, each three products of 384x384 matrices (about as much as the caches hold, as
in a training); the logged ones record 3 values a step and end with `flush`, as before a checkpoint. The sender works
meanwhile, in its own process, on a store of a temporary folder. CPU is the training process's own.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from samebits.base.paths import Project
from samebits.params.runtime import RuntimeParams
from samebits.tracking.journal.tracker import open_tracker

STEPS, SIZE = 1000, 384


def loop(log: Callable[[int], None] | None) -> tuple[float, float]:
    """Seconds of the clock and of this process's CPU for all steps."""
    a, b = (torch.rand(SIZE, SIZE) for _ in range(2))
    wall, cpu = time.perf_counter(), time.process_time()
    for step in range(STEPS):
        for _ in range(3):
            a = (a @ b).div_(SIZE)
        if log is not None:
            log(step)
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(project: Project, rounds: int) -> list[tuple[float, float, float, float]]:
    """By round, milliseconds of clock and CPU: inside the calls of 1,000 steps; what they took more than plain ones."""
    tracker = open_tracker(project, RuntimeParams(), stage="train", params={"seed": 0})
    added = []
    for number in range(rounds + 1):
        base = number * STEPS
        inside = [0.0, 0.0]

        def log(step: int, base: int = base, inside: list[float] = inside) -> None:
            wall, cpu = time.perf_counter(), time.thread_time()
            tracker.metrics({"train/loss": 1 / (step + 1), "train/lr": 0.1, "train/norm": 2.0 + step}, base + step)
            if step == STEPS - 1:
                tracker.flush()
            inside[0] += time.perf_counter() - wall
            inside[1] += time.thread_time() - cpu

        # In turn, and the other way round in every second round.
        both = [loop(each) for each in ((None, log) if number % 2 else (log, None))]
        plain, logged = both if number % 2 else both[::-1]
        more = (logged[0] - plain[0], logged[1] - plain[1])
        added.append((1e3 * inside[0], 1e3 * inside[1], 1e3 * more[0], 1e3 * more[1]))
    tracker.close("FINISHED")
    return added[1:]  # the first one also imports and warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    torch.set_num_threads(1)
    # The sender may still deliver when the folder goes.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        (Path(folder) / "params.yaml").write_text("seed: 0\n", encoding="utf-8")
        added = measure(Project(Path(folder), Path(folder)), parser.parse_args().rounds)
    names = ("in the calls, clock", "in the calls, CPU", "whole loop, clock", "whole loop, CPU")
    for name, values in zip(names, zip(*added, strict=True), strict=True):
        low, high = min(values), max(values)
        print(f"{name}: {statistics.median(values):.1f} ms, median of {len(values)} ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
