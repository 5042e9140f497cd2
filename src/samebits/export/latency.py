"""How long one call takes here. For the terminal and the tracker: times vary, so no output of a stage holds one."""

from __future__ import annotations

import statistics
import time

import numpy as np
import numpy.typing as npt

from samebits.export.parity import Predictor

BATCH_SIZES = (1, 256)
_SECONDS = 0.4
_CALLS = 200


def median_milliseconds(predict: Predictor, images: npt.NDArray[np.uint8]) -> float:
    """Median over up to 200 calls within 0.4 s (at least 5), after 3 that warm up.

    Args:
        images: the batch, uint8 [N, C, H, W].
    """
    for _ in range(3):
        predict(images)
    times: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(times) < 5 or (len(times) < _CALLS and time.perf_counter() < end):
        start = time.perf_counter()
        predict(images)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3
