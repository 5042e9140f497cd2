"""The time of a call: enough of quick ones, and no long wait for slow ones."""

from __future__ import annotations

import numpy as np
import pytest

from samebits.export import latency

SAMPLES = np.zeros((1, 1), dtype=np.uint8)


@pytest.mark.parametrize(
    ("seconds", "calls"),
    [
        (0.001, 3 + 200),
        (0.01, 3 + 40),  # as many as begin within 0.4 s
        (0.5, 3 + 5),  # the least number, though they take longer
        (1.5, 3 + 3),  # as many as begin within 4 s
        (8.0, 1 + 1),
    ],
)
def test_calls_are_as_many_as_their_time_allows(monkeypatch: pytest.MonkeyPatch, seconds: float, calls: int) -> None:
    now, made = 0.0, 0

    def predict(_: object) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        nonlocal now, made
        now += seconds
        made += 1
        return np.zeros(1, dtype=np.float32)

    monkeypatch.setattr(latency.time, "perf_counter", lambda: now)
    assert latency.median_milliseconds(predict, SAMPLES) == pytest.approx(seconds * 1e3)
    assert made == pytest.approx(calls, abs=1)


def test_one_slow_call_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.002, 0.002, 0.002, 0.002, 0.3, 0.002, 0.002, 0.002, 0.2, *[0.5] * 9])
    now = 0.0

    def predict(_: object) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        nonlocal now
        now += next(times)
        return np.zeros(1, dtype=np.float32)

    monkeypatch.setattr(latency.time, "perf_counter", lambda: now)
    assert latency.median_milliseconds(predict, SAMPLES) == pytest.approx(2.0)
