"""Numbers that describe predicted vectors on a test split, with bootstrap confidence intervals.

Components may have units of their own: errors are in standard deviations of the training split.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samebits.metrics.bootstrap import Floats, Resamples, Statistic
from samebits.metrics.metric import Metric, four_decimals, per_sample, percent
from samebits.metrics.scores import r2


@dataclass(frozen=True)
class VectorPredictions:
    """What the model said about each sample, in the targets' own units; float64 [N, K] each.

    Attributes:
        std: of each component over the training split, [K].
        half_widths: of the interval around each component, [K]; None: there is none.
    """

    actual: Floats
    predicted: Floats
    std: Floats
    half_widths: Floats | None = None

    def __len__(self) -> int:
        return len(self.actual)

    @property
    def width(self) -> int:
        return int(self.actual.shape[1])

    @property
    def pair(self) -> tuple[Floats, Floats]:
        return self.predicted, self.actual

    @property
    def shares(self) -> Floats:
        """Residuals in standard deviations, [N, K]."""
        return (self.predicted - self.actual) / self.std

    @property
    def distances(self) -> Floats:
        """Root of the mean square of a sample's residuals in standard deviations, [N]."""
        distances: Floats = np.sqrt(np.square(self.shares).mean(axis=1))
        return distances

    @property
    def held(self) -> Floats | None:
        """Share of a sample's components whose interval holds the true number, [N]."""
        if self.half_widths is None:
            return None
        held: Floats = (np.abs(self.predicted - self.actual) <= self.half_widths).mean(axis=1)
        return held


def component_scores(vectors: VectorPredictions) -> list[tuple[float, float, float]]:
    """Of each component R² (NaN where undefined), and RMSE and mean absolute error in its own unit."""
    off = vectors.predicted - vectors.actual
    of_each = r2(vectors.actual.T, vectors.predicted.T)
    roots, means = np.sqrt(np.square(off).mean(axis=0)), np.abs(off).mean(axis=0)
    return list(zip(of_each.tolist(), roots.tolist(), means.tolist(), strict=True))


def _r2(vectors: VectorPredictions) -> Statistic:
    def statistic(drawn: Resamples) -> Floats:
        columns = zip(vectors.actual.T, vectors.predicted.T, strict=True)
        total: Floats = sum((r2(actual[drawn.picks], said[drawn.picks]) for actual, said in columns), np.zeros(()))
        return total / vectors.width

    return statistic


def _rmse(vectors: VectorPredictions) -> Statistic:
    squares = np.square(vectors.distances)
    return lambda drawn: np.sqrt(drawn.mean(squares))


METRICS: list[Metric[VectorPredictions]] = [
    Metric(
        "r2",
        "R², mean of the components",
        four_decimals,
        "higher",
        _r2,
        headline=True,
        undefined="all targets of the test split are equal in a component",
    ),
    Metric("rmse_in_std", "RMSE / standard deviation", four_decimals, "lower", _rmse, headline=True),
    Metric(
        "mae_in_std",
        "Mean absolute error / standard deviation",
        four_decimals,
        "lower",
        per_sample(lambda vectors: np.abs(vectors.shares).mean(axis=1)),
    ),
    Metric(
        "interval_coverage",
        "True number in the interval",
        percent,
        None,
        per_sample(lambda vectors: vectors.held),
        baseline=False,
    ),
]
