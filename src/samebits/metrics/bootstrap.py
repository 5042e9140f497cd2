"""Percentile bootstrap over the samples of a split (Efron, 1979): resamples with replacement, and quantiles of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BOOTSTRAP_SEED = 20_260_101
"""Fixed: intervals are a property of the predictions, and no parameter should move them."""

_CHUNK_ELEMENTS = 4_000_000  # resampled rows drawn at a time: 32 MB of int64


@dataclass(frozen=True)
class Interval:
    """Confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Resamples:
    """R resamples of N samples.

    Attributes:
        picks: [R, N], int64: the samples of each.
    """

    picks: Ints

    @functools.cached_property
    def weights(self) -> Floats:
        """[R, N]: how often each sample was drawn."""
        count, samples = self.picks.shape
        cells = self.picks + np.arange(count)[:, None] * samples
        return np.bincount(cells.ravel(), minlength=count * samples).reshape(count, samples).astype(np.float64)

    def mean(self, values: npt.NDArray[np.floating]) -> Floats:
        """Of one value per sample, [N] -> [R]."""
        # Not a matrix product: BLAS may sum in another order with another number of threads.
        means: Floats = (self.weights * values).sum(axis=1) / self.picks.shape[1]
        return means


Statistic = Callable[[Resamples], Floats]
"""A number of each resample: [R]. NaN where it is undefined."""


@dataclass(frozen=True)
class Share:
    """The share of the samples that count, as a statistic.

    Attributes:
        counted: [N]
    """

    counted: npt.NDArray[np.bool_]

    def __call__(self, drawn: Resamples) -> Floats:
        return drawn.mean(self.counted.astype(np.float64))

    def exact(self, confidence: float) -> Interval:
        """Of Clopper and Pearson (1934), where all samples count or none does."""
        rest = ((1.0 - confidence) / 2.0) ** (1.0 / len(self.counted))
        return Interval(rest, 1.0) if self.counted[0] else Interval(0.0, 1.0 - rest)


def whole(samples: int) -> Resamples:
    """The split itself, as the one resample that holds each sample once."""
    return Resamples(np.arange(samples)[None])


def percentile_intervals(
    statistics: Mapping[str, Statistic], samples: int, *, resamples: int, confidence: float, width: int = 1
) -> dict[str, Interval]:
    """An interval for each statistic that is defined for at least one resample.

    Where all resamples give the same number, as where every answer is right, they say nothing of its spread: a share
    then has the exact interval, and other statistics have none.

    Args:
        samples: N, of the split.
        resamples: R.
        confidence: level of the intervals, such as 0.95.
        width: numbers that a statistic holds per resample, such as one per class, where they are more than the samples.
    """
    drawn: dict[str, list[Floats]] = {name: [] for name in statistics}
    for part in _chunks(samples, resamples, max(1, _CHUNK_ELEMENTS // max(samples, width))):
        for name, statistic in statistics.items():
            drawn[name].append(statistic(part))
    tail = (1.0 - confidence) / 2.0
    intervals = {}
    for name, parts in drawn.items():
        defined = np.concatenate(parts) if parts else np.empty(0)
        defined = defined[~np.isnan(defined)]
        if len(defined):
            low, high = np.quantile(defined, [tail, 1.0 - tail])
            if low < high:
                intervals[name] = Interval(float(low), float(high))
            elif isinstance(share := statistics[name], Share):
                intervals[name] = share.exact(confidence)
    return intervals


def _chunks(samples: int, resamples: int, chunk: int) -> Iterator[Resamples]:
    """The same draws, whatever the chunk is."""
    generator = np.random.Generator(np.random.Philox(BOOTSTRAP_SEED))
    for start in range(0, resamples, chunk):
        yield Resamples(generator.integers(0, samples, size=(min(chunk, resamples - start), samples)))
