"""Outputs that are not finite are named by their sample."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from samebits.base.errors import UserError
from samebits.metrics.classification import METRICS, predictions_from_logits
from samebits.metrics.metric import measure, require_finite


def test_of_a_part_of_a_split_the_sample_of_the_split_is_named() -> None:
    outputs = np.array([[0.0, 1.0], [np.nan, 0.0], [np.inf, 0.0]])
    with pytest.raises(UserError, match="2 of 3 test samples is not finite, first for test sample 1"):
        require_finite(outputs)
    with pytest.raises(UserError, match="output for test sample 40 is not finite"):
        require_finite(outputs, np.array([7, 40, 3]))
    require_finite(outputs[:1], np.array([7]))


@pytest.mark.parametrize("right", [True, False])
def test_25_right_answers_of_25_are_no_certainty(right: bool) -> None:
    """Every resample says the same: a share has the exact interval, what is no share has none."""
    labels = np.arange(25) % 2
    logits = 3.0 * np.eye(2)[labels if right else 1 - labels]
    found = measure(METRICS, predictions_from_logits(logits, labels), bootstrap=50)
    bound = binomtest(25, 25).proportion_ci(0.95, "exact").low
    accuracy = found.intervals["accuracy"]
    assert (accuracy.low, accuracy.high) == pytest.approx((bound, 1.0) if right else (0.0, 1 - bound))
    assert found.values["macro_f1"] == float(right)
    assert "macro_f1" not in found.intervals
