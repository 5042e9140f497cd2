"""How long one call takes here. For the terminal and the tracker: times vary, so no output of a stage holds one."""

from __future__ import annotations

import statistics
import time

from samebits.data.prepared import Array
from samebits.export.parity import Predictor

BATCH_SIZES = (1, 256)
_SECONDS = 0.4
_CALLS = 200


def median_milliseconds(predict: Predictor, samples: Array) -> float:
    """Median over up to 200 calls within 0.4 s (at least 5), after 3 that warm up.

    Args:
        samples: the batch, as it is served.
    """
    for _ in range(3):
        predict(samples)
    times: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(times) < 5 or (len(times) < _CALLS and time.perf_counter() < end):
        start = time.perf_counter()
        predict(samples)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3
