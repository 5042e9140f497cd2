"""Intervals against simulated truth: how often they miss it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from samebits.sweeps.intervals import components, spread


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.array([0.99, 0.97, 0.98, 0.985, 0.99])
    found = spread(values)
    low, high = stats.t.interval(0.95, 4, loc=values.mean(), scale=stats.sem(values))
    assert found.interval is not None
    assert (found.count, found.mean, found.std) == (5, pytest.approx(values.mean()), pytest.approx(values.std(ddof=1)))
    assert (found.interval.low, found.interval.high) == (pytest.approx(low), pytest.approx(high))
    assert spread(values[::-1]).mean == found.mean
    one = spread(values[:1])
    assert (one.mean, one.std, one.interval) == (0.99, None, None)


def missed(seeds: int, of_seeds: float, of_samples: float, *, samples: int = 100, repeats: int = 800) -> float:
    """How often the interval of a difference that is 0 does not hold 0."""
    random = np.random.default_rng(7)
    found = 0
    for _ in range(repeats):
        table = random.standard_normal((seeds, samples)) + of_seeds * random.standard_normal((seeds, 1))
        table += of_samples * random.standard_normal(samples)
        found += abs(table.mean()) > components(table).half_width()
    return found / repeats


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("of_seeds", "of_samples"), [(0.0, 0.0), (0.0, 1.0), (0.1, 1.0), (0.5, 0.0), (0.5, 1.0)])
def test_one_in_twenty_differences_that_are_none_is_found(seeds: int, of_seeds: float, of_samples: float) -> None:
    assert 0.02 < missed(seeds, of_seeds, of_samples) < 0.085  # 0.05, and three standard errors of 800 tries


def test_one_seed_speaks_of_its_models_alone() -> None:
    assert missed(1, 0.0, 1.0) == pytest.approx(0.05, abs=0.025)
    assert missed(1, 0.5, 1.0) > 0.3, "of the settings it says too much"


def test_either_alone_is_not_enough() -> None:
    """With samples as the only variance, or seeds as the only one, the same table gives intervals that miss."""
    random = np.random.default_rng(3)
    by_seed, by_sample = 0, 0
    for _ in range(400):
        table = random.standard_normal((5, 100)) + 0.5 * random.standard_normal((5, 1))
        table += 2.0 * random.standard_normal(100)
        by_seed += abs(table.mean()) > stats.t.ppf(0.975, 4) * stats.sem(table.mean(axis=1))
        by_sample += abs(table.mean()) > 1.96 * stats.sem(table.mean(axis=0))
    assert by_seed / 400 > 0.08
    assert by_sample / 400 > 0.08


def test_more_seeds_narrow_what_the_seeds_widen_and_no_more() -> None:
    random = np.random.default_rng(5)
    noise = random.standard_normal((4, 200))
    seeds = components(noise + 2.0 * random.standard_normal((4, 1)))
    assert seeds.half_width(16) < seeds.half_width() / 2
    samples = components(0.01 * noise + random.standard_normal(200))
    assert samples.half_width(1000) == pytest.approx(samples.half_width(), rel=0.02)
    assert components(np.zeros((3, 50))).half_width() == 0.0
    numbers = np.array([[1.0], [2.0], [4.0]])
    assert components(numbers).half_width() == pytest.approx(stats.t.ppf(0.975, 2) * stats.sem(numbers[:, 0]))
