"""How long one call takes here. For the terminal and the tracker: times vary, so no output of a stage holds one."""

from __future__ import annotations

import statistics
import time

from samebits.data.loading.prepared import Array
from samebits.export.parity import Predictor

BATCH_SIZES = (1, 256)
_SECONDS = 0.4
_PATIENCE = 4.0
"""Seconds after which the least number of calls is not waited for: one of a transformer takes many on one core."""
_WARM = 3
_FEW, _MANY = 5, 200


def median_milliseconds(predict: Predictor, samples: Array) -> float:
    """Median over up to 200 calls within 0.4 s, or 5 within 4 s, after 3 that warm up; of slow calls, fewer of both.

    Args:
        samples: the batch, as it is served.
    """
    _times(predict, samples, _WARM, _WARM)
    return statistics.median(_times(predict, samples, _FEW, _MANY)) * 1e3


def _times(predict: Predictor, samples: Array, few: int, many: int) -> list[float]:
    """Seconds of each call: at least one."""
    times: list[float] = []
    begin = now = time.perf_counter()
    while not times or (len(times) < many and now - begin < (_PATIENCE if len(times) < few else _SECONDS)):
        predict(samples)
        times.append((after := time.perf_counter()) - now)
        now = after
    return times
