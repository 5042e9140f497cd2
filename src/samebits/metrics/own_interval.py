"""A metric of the user's own as one of ours, with an interval."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from samebits.metrics.bootstrap import Floats, Resamples, Statistic
from samebits.metrics.metric import Metric, four_digits
from samebits.metrics.own import OwnMetric


class Judged(Protocol):
    """What a model said about a split, for metrics that know nothing of its kind."""

    @property
    def pair(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Predictions and targets, [N, ...] each."""
        ...


def as_metric(own: OwnMetric) -> Metric[Any]:
    """The metric beside those of a kind of target."""
    return Metric(own.name, own.name, four_digits, own.better, lambda judged: _statistic(own, judged), own=True)


def _statistic(own: OwnMetric, judged: Judged) -> Statistic:
    """Of any resample of a split: the mean of its samples' numbers, or the number computed again."""
    predictions, targets = judged.pair
    whole = own.of(predictions, targets)
    if whole.ndim:
        return lambda drawn: drawn.mean(whole)

    def again(rows: npt.NDArray[np.int64]) -> float:
        try:
            return own.mean(predictions[rows], targets[rows])
        except (ValueError, ZeroDivisionError):
            return np.nan  # undefined for such a resample, as where it lacks a class

    def statistic(drawn: Resamples) -> Floats:
        if np.array_equal(drawn.picks, np.arange(len(targets))[None]):
            return np.array([float(whole)])
        return np.array([again(rows) for rows in drawn.picks])

    return statistic
