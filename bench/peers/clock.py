"""One clock for every contender: when its steps are counted, what it prints. Standard library only.

The clock starts after a number of steps and of seconds that warm up, so that what happens once (imports, compilation,
the allocator's first blocks, MLflow's start in its own process) is out of it, and ends a number of steps later.
"""

from __future__ import annotations

import argparse
import json
import os
import time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--warmup-steps", type=int, default=5)
    parser.add_argument("--warmup-seconds", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--losses", type=int, nargs=2, default=(1, 20), help="the mean loss of these steps is printed")


class Clock:
    """Counts steps; `step` says when enough are made."""

    def __init__(self, arguments: argparse.Namespace, batch: int) -> None:
        self._wanted = arguments
        self._batch = batch
        self._first = self._began = 0.0
        self._at = 0
        self._losses: list[float] = []
        self.count = 0

    def step(self, loss: float | None = None) -> bool:
        """A step is over. True, once, when the last one that counts is; the result is printed then."""
        now, wanted = time.perf_counter(), self._wanted
        self.count += 1
        if self.count == 1:
            self._first = now
            self._since_start = time.time() - float(os.environ["BENCH_STARTED"])
        if loss is not None and wanted.losses[0] <= self.count <= wanted.losses[1]:
            self._losses.append(loss)
        if not self._began:
            if self.count >= wanted.warmup_steps and now - self._first >= wanted.warmup_seconds:
                self._began, self._at = now, self.count
            return False
        if self.count != max(self._at + wanted.steps, wanted.losses[1]):
            return False
        samples, seconds = (self.count - self._at) * self._batch, now - self._began
        result = {
            "samples": samples,
            "seconds": seconds,
            "rate": samples / seconds,
            "first_step_seconds": self._since_start,
            "loss": sum(self._losses) / len(self._losses) if self._losses else None,
        }
        print("\n" + json.dumps(result), flush=True)
        return True
