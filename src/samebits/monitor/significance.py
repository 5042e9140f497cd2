"""Tests of two samples against each other, and the correction for many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.drift.measure import Counts

_EXPECTED = 5.0
"""Samples of a category, below which the chi-square distribution is no good approximation (Cochran, 1954)."""


def shares(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Of the whole, which is not empty."""
    found: npt.NDArray[np.float64] = counts / counts.sum()
    return found


def largest_gap(first: Counts, second: Counts) -> float:
    """The Kolmogorov-Smirnov statistic of two samples in rising bins: how far their cumulative shares are apart."""
    return float(np.abs(shares(first).cumsum() - shares(second).cumsum()).max())


def moved_share(first: Counts, second: Counts) -> float:
    """The total variation distance: the share of samples whose category would have to be another one."""
    return float(np.abs(shares(first) - shares(second)).sum() / 2)


def stability_index(first: Counts, second: Counts) -> float:
    """The population stability index; half a sample more in each bin, so that empty ones count and do not decide."""
    before, now = (shares(each + 0.5) for each in (first, second))
    return float(((now - before) * np.log(now / before)).sum())


def numbers_p(first: Counts, second: Counts) -> float:
    """Two-sample Kolmogorov-Smirnov test (Stephens, 1970): the chance of such a gap between samples of the same kind.

    Of binned values it is too high rather than too low: the largest gap may lie inside a bin.
    """
    n, m = int(first.sum()), int(second.sum())
    root = math.sqrt(n * m / (n + m))
    scaled = (root + 0.12 + 0.11 / root) * largest_gap(first, second)
    if scaled < 0.2:  # the series does not converge there
        return 1.0
    terms = ((1 if k % 2 else -1) * math.exp(-2.0 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, 2.0 * math.fsum(terms)))


def categories_p(first: Counts, second: Counts) -> float:
    """The chance of such a difference between samples of the same kind: Pearson's chi-square test; of two categories of
    which one is rare, Fisher's exact test. Categories that are too rare for it are taken together, a few at a time."""
    table = _grouped(np.stack([first, second]))
    if table.shape[1] < 2:
        return 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    if table.shape[1] == 2 and expected.min() < _EXPECTED:
        return fisher_p(*(int(cell) for cell in table.ravel()))
    return chi_square_p(float(((table - expected) ** 2 / expected).sum()), table.shape[1] - 1)


def _grouped(table: Counts) -> Counts:
    """Columns of [2, K], the rarest first, added up until each is frequent enough; the most frequent stays alone."""
    totals = table.sum(axis=0)
    *order, most = np.argsort(totals, kind="stable")[np.count_nonzero(totals == 0) :].tolist()
    smaller = table.sum(axis=1).min() / table.sum()
    groups: list[Counts] = []
    open_group = np.zeros(2, dtype=np.int64)
    for column in order:
        open_group = open_group + table[:, column]
        if open_group.sum() * smaller >= _EXPECTED:
            groups.append(open_group)
            open_group = np.zeros(2, dtype=np.int64)
    if open_group.any():
        groups = [*groups[:-1], groups[-1] + open_group] if groups else [open_group]
    return np.column_stack([*groups, table[:, most]])


def chi_square_p(statistic: float, freedom: int) -> float:
    """The chi-square distribution above a value, by its finite series."""
    half = statistic / 2.0
    if half <= 0.0:
        return 1.0
    at, found = (0.5, math.erfc(math.sqrt(half))) if freedom % 2 else (1.0, math.exp(-half))
    while at < freedom / 2.0:
        found += math.exp(at * math.log(half) - half - math.lgamma(at + 1.0))
        at += 1.0
    return min(1.0, found)


def fisher_p(a: int, b: int, c: int, d: int) -> float:
    """Fisher's exact test of [[a, b], [c, d]]: twice the smaller tail."""
    row, column, total = a + b, a + c, a + b + c + d
    low, high = max(0, row + column - total), min(row, column)
    places = np.arange(low, high + 1)
    logs = np.array([_log_choose(column, int(k)) + _log_choose(total - column, row - int(k)) for k in places])
    chances = np.exp(logs - _log_choose(total, row))
    return min(1.0, 2.0 * float(min(chances[places <= a].sum(), chances[places >= a].sum())))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def holm(chances: Sequence[float]) -> list[float]:
    """Holm's correction (1979): p-values of which one below a limit is a false alarm no more often than that limit, in
    all of them together and however they depend on each other."""
    order = sorted(range(len(chances)), key=chances.__getitem__)
    found, highest = [0.0] * len(chances), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[place]))
        found[place] = highest
    return found
