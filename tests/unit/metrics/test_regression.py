"""Numbers of a regression against scikit-learn's, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, median_absolute_error, r2_score, root_mean_squared_error

from samebits.base.errors import UserError
from samebits.metrics.metric import Scores, measure
from samebits.metrics.regression import METRICS, RegressionPredictions, check_numbers


def made(n: int = 300, noise: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    actual = random.normal(50, 10, n)
    return actual, actual + random.normal(1.0, noise, n)


def measure_numbers(numbers: RegressionPredictions, **settings: float) -> Scores:
    return measure(METRICS, numbers, **settings)  # type: ignore[arg-type]


def test_values_are_scikit_learns() -> None:
    actual, predicted = made()
    found = measure_numbers(check_numbers(actual, predicted), bootstrap=100, confidence=0.95).values
    assert found == pytest.approx(
        {
            "r2": r2_score(actual, predicted),
            "rmse": root_mean_squared_error(actual, predicted),
            "mae": mean_absolute_error(actual, predicted),
            "median_absolute_error": median_absolute_error(actual, predicted),
            "bias": float((predicted - actual).mean()),
        }
    )


def test_intervals_hold_the_value_and_shrink_with_the_level() -> None:
    numbers = check_numbers(*made())
    wide = measure_numbers(numbers, bootstrap=500, confidence=0.99)
    narrow = measure_numbers(numbers, bootstrap=500, confidence=0.8)
    for name, value in wide.values.items():
        assert value is not None
        assert wide.intervals[name].low < narrow.intervals[name].low < value
        assert value < narrow.intervals[name].high < wide.intervals[name].high
    assert wide == measure_numbers(numbers, bootstrap=500, confidence=0.99)


def test_chunks_of_the_bootstrap_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = check_numbers(*made(50))
    whole = measure_numbers(numbers, bootstrap=100, confidence=0.95)
    monkeypatch.setattr("samebits.metrics.bootstrap._CHUNK_ELEMENTS", 350)
    assert measure_numbers(numbers, bootstrap=100, confidence=0.95) == whole


def test_equal_targets_have_no_r2() -> None:
    found = measure_numbers(check_numbers(np.full(9, 3.0), np.arange(9.0)), bootstrap=100, confidence=0.95)
    assert found.values["r2"] is None
    assert "r2" not in found.intervals
    assert "equal" in found.undefined["r2"]
    assert found.values["mae"] == pytest.approx(np.abs(np.arange(9.0) - 3).mean())


def test_an_answer_that_is_not_finite_is_named() -> None:
    with pytest.raises(UserError, match="1 of 3 test samples is not finite, first for test sample 1"):
        check_numbers(np.zeros(3), np.array([0.0, np.nan, 1.0]))
