"""Confidence intervals over seeds, and of the paired difference of two settings over seeds and test samples.

A setting's result varies with the seed, and the test split is itself a sample. Both count, and neither averages out
by more of the other. So the differences d[s, i] of two settings (seed s, test sample i) are taken as

    d[s, i] = difference + seed[s] + sample[i] + rest[s, i]

all random but the first. The mean's variance follows from the mean squares of this table, the degrees of freedom from
Hillis (2007, "A comparison of denominator degrees of freedom methods for multiple observer ROC analysis", Statistics in
Medicine 26), who has readers and cases in place of seeds and samples. Bouthillier et al. (2021, "Accounting for
variance in machine learning benchmarks", MLSys) say why seeds belong into a comparison.

A bootstrap over both is narrower with few seeds, and misses more often: it has no t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from samebits.metrics.bootstrap import Interval

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""Of every interval here."""


def t_quantile(freedom: float) -> float:
    """Student's t that `CONFIDENCE` of the distribution lies within, on both sides of 0."""
    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))


@dataclass(frozen=True)
class Spread:
    """Of one number over N seeds.

    Attributes:
        count: N.
        mean: the numbers' mean.
        std: standard deviation, by N - 1; None for one seed.
        interval: t interval of the mean; None for one seed.
    """

    count: int
    mean: float
    std: float | None
    interval: Interval | None


def spread(values: Floats) -> Spread:
    """Of values [N], one per seed; N is at least 1."""
    # math.fsum: the mean does not depend on the order of the seeds.
    count, mean = len(values), math.fsum(values) / len(values)
    if count < 2:
        return Spread(count, mean, None, None)
    std = math.sqrt(math.fsum((values - mean) ** 2) / (count - 1))
    half = t_quantile(count - 1) * std / math.sqrt(count)
    return Spread(count, mean, std, Interval(mean - half, mean + half))


@dataclass(frozen=True)
class Components:
    """Where the variance of a mean over S seeds and N samples comes from.

    Attributes:
        of_seeds: mean square of the seeds, divided by S·N: the seeds' and the rest's part of the mean's variance.
        of_samples: part of the samples alone, at least 0.
        seeds: S.
    """

    of_seeds: float
    of_samples: float
    seeds: int

    def half_width(self, seeds: int | None = None) -> float:
        """Of the interval with the S seeds that there are, or as it would be with another number.

        One seed's is that of its models alone.
        """
        count = self.seeds if seeds is None else seeds
        if self.seeds < 2:
            return t_quantile(math.inf) * math.sqrt(self.of_samples)
        of_seeds = self.of_seeds * self.seeds / count
        variance = of_seeds + self.of_samples
        if not variance:
            return 0.0
        freedom = (count - 1) * (variance / of_seeds) ** 2 if of_seeds else math.inf
        return t_quantile(freedom) * math.sqrt(variance)


def components(differences: Floats) -> Components:
    """Of paired differences [S, N]; S seeds, N samples, N at least 2. N of 1 is a number per seed without samples.

    With one seed, its samples are all there is.
    """
    seeds, samples = differences.shape
    if samples == 1:
        return Components(float(np.var(differences[:, 0], ddof=1)) / seeds, 0.0, seeds)
    by_seed, by_sample = differences.mean(axis=1), differences.mean(axis=0)
    if seeds == 1:
        return Components(0.0, float(np.var(by_sample, ddof=1)) / samples, 1)
    rest = differences - by_seed[:, None] - by_sample + by_seed.mean()
    of_rest = float((rest**2).sum()) / ((seeds - 1) * (samples - 1))
    of_seeds = samples * float(np.var(by_seed, ddof=1))
    of_samples = seeds * float(np.var(by_sample, ddof=1))
    count = seeds * samples
    return Components(of_seeds / count, max(of_samples - of_rest, 0.0) / count, seeds)
