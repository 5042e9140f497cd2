"""Where the time of a training goes: seconds of each phase, and a trace of a few steps (`runtime.profile: true`).

The loop names its phases to a `Profiler`, which does nothing; `TorchProfiler` measures. On an accelerator it
waits for the device at the end of each phase, so that work is counted where it was asked for: a profiled training is
slower there, and its bits are the same.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from samebits.base.files import write_bytes
from samebits.compute.hardware import synchronize

T = TypeVar("T")

PHASES = ("data", "forward", "backward", "optimizer", "validation", "logging", "checkpoint")

_TRACE_AFTER = 20
"""Steps before the trace begins: the first ones allocate and choose kernels."""
_TRACE_STEPS = 10
_OPERATORS = 25
_NOTHING: AbstractContextManager[None] = contextlib.nullcontext()


class Profiler:
    """Measures nothing."""

    def __call__(self, phase: str) -> AbstractContextManager[None]:
        """A context: what runs in it belongs to `phase`, one of PHASES."""
        return _NOTHING

    def iter_data(self, items: Iterable[T]) -> Iterable[T]:
        """The items; waiting for the next one is the phase `data`."""
        return items

    def step(self) -> None:
        """A step is done."""

    def close(self) -> None:
        """The training is over, or was stopped."""


class TorchProfiler(Profiler):
    """Measures every phase, and traces a few steps with torch's profiler.

    Args:
        device: where the training runs.
        folder: for `trace.json.gz` (chrome://tracing, or ui.perfetto.dev) and `phases.txt`.
    """

    def __init__(self, device: torch.device, folder: Path) -> None:
        self._device = device
        self._folder = folder
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._steps = 0
        self._measured_steps = 0
        self._trace: profile | None = None
        self._operators = "no operators: the training had fewer steps than the trace skips\n"
        self._began = time.perf_counter()
        self._untimed = 0.0

    def __call__(self, phase: str) -> AbstractContextManager[None]:
        return self._phase(phase)

    @contextlib.contextmanager
    def _phase(self, phase: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            with record_function(phase):
                yield
                synchronize(self._device)
        finally:
            if self._trace is None:  # the profiler's own work is no phase of the training
                self._seconds[phase] += time.perf_counter() - began

    def iter_data(self, items: Iterable[T]) -> Iterator[T]:
        source = iter(items)
        while True:
            with self._phase("data"):
                try:
                    item = next(source)
                except StopIteration:
                    return
            yield item

    def step(self) -> None:
        self._steps += 1
        if self._trace is None:
            self._measured_steps += 1
        if self._steps == _TRACE_AFTER:
            self._start_trace()
        elif self._steps == _TRACE_AFTER + _TRACE_STEPS:
            self.close()

    def _start_trace(self) -> None:
        self._untimed -= time.perf_counter()
        # The profiler's library reports that there is no GPU, and each of its own stages, on the terminal.
        os.environ.setdefault("KINETO_LOG_LEVEL", "6")
        kinds = [ProfilerActivity.CPU]
        if self._device.type in {"cuda", "xpu"}:
            kinds.append(ProfilerActivity[self._device.type.upper()])
        self._trace = profile(activities=kinds, record_shapes=True)
        self._trace.start()

    def close(self) -> None:
        """End the trace, if one is running, and write it: torch can run one at a time."""
        if self._trace is None:
            return
        synchronize(self._device)
        self._trace.stop()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._trace.export_chrome_trace(str(self.trace_file))
        order = "self_cpu_time_total" if self._device.type == "cpu" else f"self_{self._device.type}_time_total"
        self._operators = self._trace.key_averages().table(sort_by=order, row_limit=_OPERATORS)
        self._trace = None
        self._untimed += time.perf_counter()

    @property
    def trace_file(self) -> Path:
        """The trace, for a browser's trace viewer."""
        return self._folder / "trace.json.gz"

    @property
    def table_file(self) -> Path:
        """The table of phases and operators."""
        return self._folder / "phases.txt"

    def table(self) -> str:
        """Seconds, share and milliseconds per step of each phase, without the steps that were traced."""
        total = time.perf_counter() - self._began - self._untimed
        rows = [(name, self._seconds[name]) for name in PHASES]
        rows += [("other", max(0.0, total - sum(self._seconds.values()))), ("all", total)]
        steps = max(1, self._measured_steps)
        lines = [f"{'phase':<12}{'seconds':>10}{'share':>9}{'ms per step':>13}"]
        lines += [
            f"{name:<12}{seconds:>10.2f}{seconds / max(total, 1e-9):>9.1%}{1e3 * seconds / steps:>13.3f}"
            for name, seconds in rows
        ]
        return "\n".join(lines) + f"\n{self._measured_steps} steps; {self._steps - self._measured_steps} more traced\n"

    def write(self) -> list[Path]:
        """Write what was measured; the files written."""
        self.close()
        write_bytes(self.table_file, f"{self.table()}\n{self._operators}".encode())
        return [file for file in (self.table_file, self.trace_file) if file.is_file()]
