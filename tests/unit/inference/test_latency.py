"""The time of a call: enough of quick ones, and no long wait for slow ones."""

from __future__ import annotations

import pytest

from samebits.inference import latency


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

    def call() -> None:
        nonlocal now, made
        now += seconds
        made += 1

    monkeypatch.setattr(latency.time, "perf_counter", lambda: now)
    assert latency.median_milliseconds(call) == [pytest.approx(seconds * 1e3)]
    assert made == pytest.approx(calls, abs=1)


def test_one_slow_call_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.002, 0.002, 0.002, 0.002, 0.3, 0.002, 0.002, 0.002, 0.2, *[0.5] * 9])
    now = 0.0

    def call() -> None:
        nonlocal now
        now += next(times)

    monkeypatch.setattr(latency.time, "perf_counter", lambda: now)
    assert latency.median_milliseconds(call) == [pytest.approx(2.0)]


def test_calls_are_measured_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    now, order = 0.0, []

    def call(name: str, seconds: float) -> None:
        nonlocal now
        now += seconds
        order.append(name)

    monkeypatch.setattr(latency.time, "perf_counter", lambda: now)
    found = latency.median_milliseconds(lambda: call("a", 0.01), lambda: call("b", 0.03))
    assert found == [pytest.approx(10.0), pytest.approx(30.0)]
    assert order[:4] == ["a", "b", "a", "b"]
    assert order.count("a") == order.count("b")
