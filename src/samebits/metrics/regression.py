"""Numbers that describe predicted numbers on a test split, with bootstrap confidence intervals.

numpy in float64 on one value a sample, so the same answers give the same numbers whatever the batch size was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.metrics.classification import BOOTSTRAP_SEED, Interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CHUNK_ELEMENTS = 4_000_000


@dataclass(frozen=True)
class Numbers:
    """What the model said about each sample, in the target's own unit; float64 [N] each."""

    actual: Floats
    predicted: Floats

    def __len__(self) -> int:
        return len(self.actual)

    @property
    def residuals(self) -> Floats:
        """Predicted minus actual: above 0 the model said too much."""
        return self.predicted - self.actual


@dataclass(frozen=True)
class NumberMetrics:
    """A test split's result.

    Attributes:
        values: r2, rmse, mae, median_absolute_error, bias; None if undefined.
        intervals: name -> confidence interval.
        undefined: name -> why it is None.
    """

    values: dict[str, float | None]
    intervals: dict[str, Interval]
    undefined: dict[str, str]


def check_numbers(actual: npt.NDArray[np.floating], predicted: npt.NDArray[np.floating]) -> Numbers:
    """Both as float64.

    Raises:
        UserError: when an answer is NaN or infinite: the sample is named.
    """
    said = np.asarray(predicted, dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(said))
    if len(wrong):
        raise UserError(
            f"the model's output for {len(wrong)} of {len(said)} test samples is not finite, first for test sample "
            f"{wrong[0]}",
            "the weights are damaged or the training diverged: lower train.optimizer.lr and train again",
        )
    return Numbers(np.asarray(actual, dtype=np.float64), said)


def measure_numbers(numbers: Numbers, *, bootstrap: int, confidence: float) -> NumberMetrics:
    """All metrics of a split.

    R² is 1 - sum of squared residuals / sum of squared deviations from the test split's mean; it is undefined if all
    targets of the split are equal. Intervals are percentiles over resamples of the samples (Efron, 1979).

    Args:
        bootstrap: resamples.
        confidence: level of the intervals, such as 0.95.
    """
    values = values_of(numbers)
    undefined = {}
    if np.isnan(values["r2"]):
        undefined["r2"] = "all targets of the test split are equal"
    generator = np.random.Generator(np.random.Philox(BOOTSTRAP_SEED))
    drawn: dict[str, list[Floats]] = {name: [] for name in values}
    chunk = max(1, _CHUNK_ELEMENTS // len(numbers))
    for start in range(0, bootstrap, chunk):
        size = min(chunk, bootstrap - start)
        picks = generator.integers(0, len(numbers), size=(size, len(numbers)))
        for name, value in _measured(numbers, picks).items():
            drawn[name].append(value)
    tail = (1.0 - confidence) / 2.0
    intervals = {}
    for name, parts in drawn.items():
        finite = np.concatenate(parts)
        finite = finite[~np.isnan(finite)]
        if len(finite) and name not in undefined:
            low, high = np.quantile(finite, [tail, 1.0 - tail])
            intervals[name] = Interval(float(low), float(high))
    return NumberMetrics(
        {name: None if name in undefined else value for name, value in values.items()}, intervals, undefined
    )


def values_of(numbers: Numbers) -> dict[str, float]:
    """Each metric on the whole split; NaN if undefined."""
    everyone = np.arange(len(numbers))[None]
    return {name: float(value[0]) for name, value in _measured(numbers, everyone).items()}


def r2(actual: Floats, predicted: Floats) -> float:
    """Coefficient of determination; NaN if all of `actual` are equal."""
    if actual.max() == actual.min():
        return float("nan")
    return 1.0 - float(((predicted - actual) ** 2).sum()) / float(((actual - actual.mean()) ** 2).sum())


def _measured(numbers: Numbers, picks: Ints) -> dict[str, Floats]:
    """Metrics of each resample: picks [R, N] -> [R] each."""
    actual, residuals = numbers.actual[picks], numbers.residuals[picks]
    squared = (residuals**2).sum(axis=1)
    spread = ((actual - actual.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    # The mean of equal numbers may be off by a bit, and the spread above 0.
    spread[actual.max(axis=1) == actual.min(axis=1)] = 0.0
    absolute = np.abs(residuals)
    return {
        "r2": np.where(spread > 0.0, 1.0 - squared / np.where(spread > 0.0, spread, 1.0), np.nan),
        "rmse": np.sqrt(squared / picks.shape[1]),
        "mae": absolute.mean(axis=1),
        "median_absolute_error": np.median(absolute, axis=1),
        "bias": residuals.mean(axis=1),
    }
