"""Numbers that describe predicted numbers on a test split, with bootstrap confidence intervals.

numpy in float64 on one value a sample, so the same answers give the same numbers whatever the batch size was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samebits.metrics.bootstrap import Floats, Statistic
from samebits.metrics.metric import Metric, four_decimals, four_digits, per_sample, percent, require_finite
from samebits.metrics.scores import r2


@dataclass(frozen=True)
class RegressionPredictions:
    """What the model said about each sample, in the target's own unit; float64 [N] each.

    Attributes:
        half_width: of the interval around each prediction; None: there is none.
    """

    actual: Floats
    predicted: Floats
    width: int = 1
    half_width: float | None = None

    def __len__(self) -> int:
        return len(self.actual)

    @property
    def pair(self) -> tuple[Floats, Floats]:
        return self.predicted, self.actual

    @property
    def residuals(self) -> Floats:
        """Predicted minus actual: above 0 the model said too much."""
        return self.predicted - self.actual

    @property
    def held(self) -> npt.NDArray[np.bool_] | None:
        """Whether the interval holds the true number."""
        return None if self.half_width is None else np.abs(self.residuals) <= self.half_width

    @property
    def widths(self) -> Floats | None:
        """Of the intervals."""
        return None if self.half_width is None else np.full(len(self), 2.0 * self.half_width)


def check_numbers(
    actual: npt.NDArray[np.floating], predicted: npt.NDArray[np.floating], half_width: float | None = None
) -> RegressionPredictions:
    """Both as float64.

    Raises:
        UserError: when an answer is NaN or infinite: the sample is named.
    """
    said = np.asarray(predicted, dtype=np.float64)
    require_finite(said)
    return RegressionPredictions(np.asarray(actual, dtype=np.float64), said, half_width=half_width)


def _r2(numbers: RegressionPredictions) -> Statistic:
    return lambda drawn: r2(numbers.actual[drawn.picks], numbers.predicted[drawn.picks])


def _rmse(numbers: RegressionPredictions) -> Statistic:
    return lambda drawn: np.sqrt(drawn.mean(numbers.residuals**2))


def _median_absolute_error(numbers: RegressionPredictions) -> Statistic:
    return lambda drawn: np.median(np.abs(numbers.residuals)[drawn.picks], axis=1)


METRICS: list[Metric[RegressionPredictions]] = [
    Metric(
        "r2", "R²", four_decimals, "higher", _r2, headline=True, undefined="all targets of the test split are equal"
    ),
    Metric("rmse", "RMSE", four_digits, "lower", _rmse, headline=True),
    Metric("mae", "Mean absolute error", four_digits, "lower", per_sample(lambda numbers: np.abs(numbers.residuals))),
    Metric("median_absolute_error", "Median absolute error", four_digits, None, _median_absolute_error, baseline=False),
    Metric("bias", "Mean residual", four_digits, None, per_sample(lambda numbers: numbers.residuals), baseline=False),
    Metric(
        "interval_coverage",
        "True number in the interval",
        percent,
        None,
        per_sample(lambda numbers: numbers.held),
        baseline=False,
    ),
    Metric(
        "interval_width",
        "Width of the interval",
        four_digits,
        None,
        per_sample(lambda numbers: numbers.widths),
        baseline=False,
    ),
]
