"""Planted drift is found; what is only chance, or tiny, is not."""

from __future__ import annotations

import numpy as np
import pytest

from samebits.drift.measure import Measure, kind_of, number
from samebits.drift.reference import Statistic, statistics
from samebits.monitor.compare import Finding, Tally, judged, unreadable
from samebits.signature.array import ArrayInputs
from samebits.signature.image import ImageInputs

LIMIT, ALPHA = 0.1, 0.01


def findings(reference: list[Statistic], measures: dict[str, Measure]) -> list[Finding]:
    found = []
    for each in reference:
        tally = Tally(each)
        tally.add(measures[each.name])
        found += tally.findings("inputs")
    return found


def drifted(reference: dict[str, Measure], now: dict[str, Measure]) -> list[str]:
    return [each.name for each in judged(findings(statistics([reference]), now), LIMIT, ALPHA) if each.drift]


def columns(random: np.random.Generator, count: int, shift: float = 0.0, missing: float = 0.02) -> dict[str, Measure]:
    """Rows of numbers with gaps, whole numbers and categories."""
    gaps = random.random(count) < missing
    return {
        "a": number(np.where(gaps, np.nan, random.normal(shift, 1.0, count))),
        "b": number(random.poisson(3, count)),
        "c": Measure(random.choice(3, count, p=[0.5, 0.3, 0.2]), ("x", "y", "z")),
        "d": Measure(random.choice(30, count), tuple(map(str, range(30)))),
    }


@pytest.mark.parametrize("count", [30, 300])
def test_samples_of_the_same_kind_raise_no_more_false_alarms_than_stated(count: int) -> None:
    alarms = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        alarms += bool(drifted(columns(random, 2000), columns(random, count)))
    assert alarms <= 200 * ALPHA + 2.33 * (200 * ALPHA) ** 0.5  # 99 of 100 times, were the rate the stated one


def test_missing_values_and_a_shifted_column() -> None:
    random = np.random.default_rng(1)
    reference = columns(random, 2000)
    assert drifted(reference, columns(random, 200, missing=0.3)) == ["a: missing"]
    assert drifted(reference, columns(random, 200, shift=1.0)) == ["a"]


def test_another_mix_of_categories() -> None:
    random = np.random.default_rng(2)
    now = columns(random, 200)
    now["c"] = Measure(random.choice(4, 200, p=[0.2, 0.2, 0.2, 0.4]), ("x", "y", "z"))
    (found,) = [each for each in judged(findings(statistics([columns(random, 2000)]), now), LIMIT, ALPHA) if each.drift]
    assert found.name == "c"
    assert found.now.startswith("(other) 38")


def test_darker_images() -> None:
    inputs = ImageInputs(shape=[1, 8, 8], mean=[0.5], std=[0.2])
    random = np.random.default_rng(3)
    light = random.integers(100, 200, (500, 1, 1, 1)) + random.integers(-20, 20, (500, 1, 8, 8))
    kind = kind_of(inputs)
    reference, now = (kind.measure(each.astype(np.uint8), ()) for each in (light[:400], light[400:] // 2))
    assert "brightness" in drifted(reference, now)
    assert drifted(reference, kind.measure(light[400:].astype(np.uint8), ())) == []


def test_a_shifted_sensor_among_others() -> None:
    inputs = ArrayInputs(shape=[3, 20], stored_dtype="float32", mean=[0.0] * 3, std=[1.0] * 3)
    random = np.random.default_rng(4)
    kind = kind_of(inputs)
    rows = random.normal(size=(600, 3, 20)).astype(np.float32)
    reference = kind.measure(rows[:500], ())
    rows[500:, 1] += 1.0
    assert set(drifted(reference, kind.measure(rows[500:], ()))) == {"[1] mean", "[1] min", "[1] max"}


def test_a_tiny_difference_in_many_samples_is_no_drift() -> None:
    random = np.random.default_rng(5)
    reference = {"a": number(random.normal(size=10_000))}
    (found,) = judged(findings(statistics([reference]), {"a": number(random.normal(0.1, 1.0, 100_000))}), LIMIT, ALPHA)
    assert found.adjusted_p < 1e-6
    assert 0.02 < found.effect < 0.06
    assert not found.drift


def test_what_has_too_few_values_is_not_compared() -> None:
    reference = statistics([{"a": number(np.arange(100.0))}])
    almost = np.full(40, np.nan)
    almost[:29] = 1.0
    assert [each.name for each in findings(reference, {"a": number(almost)})] == ["a: missing"]


@pytest.mark.parametrize(("errors", "drift"), [(0, False), (1, False), (15, True), (100, True)])
def test_inputs_that_cannot_be_read_are_a_statistic(errors: int, drift: bool) -> None:
    (found,) = judged(unreadable(100, errors, before=1000), LIMIT, ALPHA)
    assert (found.name, found.drift) == ("unreadable", drift)


def test_less_of_a_value_that_nearly_all_had_is_drift() -> None:
    reference = {"probability": number(np.array([1.0] * 990 + [0.9] * 10))}
    assert drifted(reference, {"probability": number(np.array([1.0] * 60 + [0.9999] * 40))}) == ["probability"]


def test_bars_are_the_whole_of_both() -> None:
    random = np.random.default_rng(6)
    reference, now = columns(random, 2000), columns(random, 100)
    for found in findings(statistics([reference]), now):
        if found.name != "d":  # only the most frequent of many categories
            assert sum(bar.before for bar in found.bars) == pytest.approx(1.0)
            assert sum(bar.now for bar in found.bars) == pytest.approx(1.0)
        assert len(found.bars) <= 12
        assert len({bar.label for bar in found.bars}) == len(found.bars)
