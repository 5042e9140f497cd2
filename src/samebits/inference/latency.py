"""How long one call takes here. For people and for the gate: times vary, so no output of a stage holds one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

_SECONDS = 0.4
_PATIENCE = 4.0
"""Seconds after which the least number of calls is not waited for: one of a transformer takes many on one core."""
_WARM = 3
_FEW, _MANY = 5, 200

Call = Callable[[], object]


def median_milliseconds(*calls: Call) -> list[float]:
    """Of each call, the median over up to 200 runs within 0.4 s, or 5 within 4 s, after 3 that warm up; of slow ones,
    fewer of both. Several are measured in turn, so that noise meets all alike, and share that time times their number.
    """
    _times(calls, _WARM, _WARM)
    return [statistics.median(times) * 1e3 for times in _times(calls, _FEW, _MANY)]


def _times(calls: Sequence[Call], few: int, many: int) -> list[list[float]]:
    """Seconds of each run of each call: at least one."""
    times: list[list[float]] = [[] for _ in calls]
    begin = now = time.perf_counter()
    runs = 0
    while not runs or (runs < many and now - begin < (_PATIENCE if runs < few else _SECONDS) * len(calls)):
        for call, its_times in zip(calls, times, strict=True):
            call()
            its_times.append((after := time.perf_counter()) - now)
            now = after
        runs += 1
    return times
