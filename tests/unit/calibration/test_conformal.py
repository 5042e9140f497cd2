"""A conformal limit is the order statistic that the theorem names, and covers new samples as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from samebits.calibration.conformal import conformal_limit, fewest_samples


@pytest.mark.parametrize(
    ("samples", "coverage", "rank"),
    [(19, 0.95, 19), (18, 0.95, None), (99, 0.95, 95), (100, 0.95, 96), (9, 0.9, 9), (8, 0.9, None), (1, 0.5, 1)],
)
def test_the_rank_counts_the_new_sample(samples: int, coverage: float, rank: int | None) -> None:
    scores = np.random.Generator(np.random.Philox(1)).permutation(samples).astype(np.float64) + 1.0
    assert conformal_limit(scores, coverage) == rank
    assert (samples >= fewest_samples(coverage)) == (rank is not None)


def test_new_samples_are_covered_as_often_as_asked_for() -> None:
    random = np.random.Generator(np.random.Philox(2))
    scores = random.exponential(size=(4000, 60))
    limits = np.array([conformal_limit(row[:59], 0.9) for row in scores])
    assert 0.89 < (scores[:, 59] <= limits).mean() < 0.925
