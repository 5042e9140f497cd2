from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from samebits.model_registry.candidate import facts_json
from samebits.model_registry.gate import Facts, Limits, judge, passes, pick_metric, table
from tests.helpers.registry import CHAMPION

BETTER = dataclasses.replace(
    CHAMPION,
    values={"accuracy": 0.995, "log_loss": 0.03, "calibration_error": 0.021},
    intervals={"accuracy": (0.9935, 0.9965), "log_loss": (0.027, 0.034), "calibration_error": (0.019, 0.024)},
    sha256="new",
)


def changed(**values: Any) -> Facts:
    return dataclasses.replace(BETTER, **values)


@pytest.mark.parametrize(
    ("candidate", "latency", "limits", "fails"),
    [
        (BETTER, (1.0, 1.0), Limits(), set()),
        (changed(data="other"), (1.0, 1.0), Limits(), {"data"}),
        (changed(test="other"), (1.0, 1.0), Limits(), {"test split"}),
        (changed(values=BETTER.values | {"accuracy": 0.9915}), (1.0, 1.0), Limits(), {"accuracy"}),
        (changed(intervals=BETTER.intervals | {"accuracy": (0.9895, 0.999)}), (1.0, 1.0), Limits(), {"accuracy"}),
        (changed(values=BETTER.values | {"accuracy": 0.97}), (1.0, 1.0), Limits(), {"accuracy"}),
        (changed(intervals={}), (1.0, 1.0), Limits(), {"accuracy"}),
        (changed(values=BETTER.values | {"calibration_error": 0.0231}), (1.0, 1.0), Limits(), {"calibration_error"}),
        (BETTER, (1.3, 1.0), Limits(), {"latency, ms"}),
        (BETTER, (1.3, 1.0), Limits(latency_ratio=1.4), set()),
        (BETTER, (1.0, 1.0), Limits(latency_ms=0.9), {"latency, ms"}),
        (changed(size=150_001), (1.0, 1.0), Limits(), {"size, KiB"}),
        (BETTER, (1.0, 1.0), Limits(size_bytes=99_999), {"size, KiB"}),
    ],
)
def test_each_condition_alone_closes_the_gate(
    candidate: Facts, latency: tuple[float, float], limits: Limits, fails: set[str]
) -> None:
    rows = judge(candidate, CHAMPION, latency, limits, "accuracy")
    assert {row.name for row in rows if not row.holds} == fails
    assert passes(rows) == (not fails)
    assert table(rows).count("NO  ") == len(fails)


def test_lower_is_better_for_a_loss() -> None:
    assert passes(judge(BETTER, CHAMPION, (1.0, 1.0), Limits(), "log_loss"))
    worse = changed(values=BETTER.values | {"log_loss": 0.07}, intervals=BETTER.intervals | {"log_loss": (0.06, 0.08)})
    assert not passes(judge(worse, CHAMPION, (1.0, 1.0), Limits(), "log_loss"))


def test_the_first_one_has_only_absolute_limits() -> None:
    assert passes(judge(BETTER, None, (1.0, None), Limits(), "accuracy"))
    assert not passes(judge(BETTER, None, (1.0, None), Limits(latency_ms=0.5), "accuracy"))


def test_the_same_model_is_no_better_than_itself() -> None:
    assert not passes(judge(CHAMPION, CHAMPION, (1.0, 1.0), Limits(), "accuracy"))


def test_facts_survive_their_tag() -> None:
    assert Facts.from_plain(json.loads(facts_json(CHAMPION))) == CHAMPION


def test_the_number_that_decides() -> None:
    assert pick_metric({"log_loss": 1.0, "accuracy": 0.5}) == "accuracy"
    assert pick_metric({"rmse": 1.0, "r2": 0.5}, "rmse") == "rmse"
    assert pick_metric({"rmse": 1.0}, "accuracy") is None
    assert pick_metric({"speed": 1.0}) is None
