"""The tests against those of SciPy, and what they are corrected for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from samebits.monitor.significance import (
    categories_p,
    chi_square_p,
    fisher_p,
    holm,
    largest_gap,
    moved_share,
    numbers_p,
    stability_index,
)


@pytest.mark.parametrize("freedom", [1, 2, 3, 10, 31])
@pytest.mark.parametrize("statistic", [0.0, 0.5, 9.0, 60.0])
def test_chi_square(statistic: float, freedom: int) -> None:
    assert chi_square_p(statistic, freedom) == pytest.approx(stats.chi2.sf(statistic, freedom), rel=1e-9)


@pytest.mark.parametrize("table", [(9000, 10, 25, 5), (100, 0, 30, 1), (3, 1, 1, 3), (50, 50, 10, 10)])
def test_fisher(table: tuple[int, int, int, int]) -> None:
    a, b, c, d = table
    tails = [stats.fisher_exact([[a, b], [c, d]], alternative=side).pvalue for side in ("less", "greater")]
    assert fisher_p(*table) == pytest.approx(min(1.0, 2 * min(tails)), rel=1e-6)


@pytest.mark.parametrize(("n", "shift"), [(30, 0.0), (100, 0.3), (1000, 0.1), (1000, 0.3)])
def test_kolmogorov_smirnov(n: int, shift: float) -> None:
    random = np.random.default_rng(n)
    first, second = random.normal(size=3000), random.normal(shift, 1.0, size=n)
    edges = np.unique(first)
    counts = [np.bincount(np.searchsorted(edges, each), minlength=len(edges) + 1) for each in (first, second)]
    exact = stats.ks_2samp(first, second, method="exact")
    assert largest_gap(*counts) == pytest.approx(exact.statistic, abs=1e-3)
    assert numbers_p(*counts) == pytest.approx(exact.pvalue, rel=0.12)


def test_the_same_shares_are_no_difference_and_others_are() -> None:
    first = np.array([100, 200, 300])
    for compare in (largest_gap, moved_share, stability_index):
        assert compare(first, first * 10) == pytest.approx(0.0, abs=1e-3)
    assert numbers_p(first, first) == categories_p(first, first) == 1.0
    moved = np.array([200, 100, 300])
    assert moved_share(first, moved) == largest_gap(first, moved) == pytest.approx(1 / 6)
    assert categories_p(first, moved) == pytest.approx(stats.chi2_contingency([first, moved]).pvalue)


def test_rare_categories_are_taken_together() -> None:
    first, second = np.array([5000, 4000, 1, 2, 0]), np.array([50, 40, 1, 0, 1])
    assert 0.0 < categories_p(first, second) <= 1.0
    # Many that are new: none alone is often enough to count.
    assert categories_p(np.array([5000] + [0] * 20), np.array([20] + [1] * 20)) < 1e-6


def test_holm_multiplies_by_what_is_left_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
