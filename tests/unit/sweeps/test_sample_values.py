"""Values per sample from the tables that evaluators write: their mean is the metric, their variance that of it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest

from samebits.sweeps.sample_values import sample_values

N = 300


def table(**columns: Any) -> pd.DataFrame:
    text = pd.DataFrame(columns).to_csv(index=False)
    return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)


def test_they_are_of_the_metric_as_the_stage_computes_it() -> None:
    from sklearn.metrics import f1_score, mean_absolute_error, r2_score, root_mean_squared_error

    random = np.random.default_rng(1)
    actual, predicted = random.integers(0, 4, N), random.integers(0, 5, N)
    predicted = np.where(random.random(N) < 0.6, actual, predicted)
    share = random.uniform(0.01, 1.0, N)
    classes = table(
        actual=actual, predicted=predicted, probability_of_actual=share, correct=(actual == predicted).astype(int)
    )
    y = random.standard_normal(N) * 3
    said = y + random.standard_normal(N)
    numbers = table(actual=y, predicted=said, residual=said - y)
    words, hits = random.integers(1, 30, N), random.random(N)
    tags = table(words=words, accuracy=hits, entities=words, entities_predicted=words[::-1], entities_right=words // 2)
    for metric, rows, value in (
        ("accuracy", classes, (actual == predicted).mean()),
        ("log_loss", classes, -np.log(share).mean()),
        ("macro_f1", classes, f1_score(actual, predicted, average="macro")),
        ("r2", numbers, r2_score(y, said)),
        ("rmse", numbers, root_mean_squared_error(y, said)),
        ("mae", numbers, mean_absolute_error(y, said)),
        ("tag_accuracy", tags, (words * hits).sum() / words.sum()),
        ("entity_f1", tags, 2 * (words // 2).sum() / (2 * words.sum())),
        ("entity_recall", tags, (words // 2).sum() / words.sum()),
    ):
        values = sample_values(metric, rows, float(value))
        assert values is not None, metric
        assert len(values) == N
        assert values.mean() == pytest.approx(float(value), abs=1e-12), metric


@pytest.mark.parametrize("metric", ["r2", "rmse"])
def test_their_variance_is_that_of_the_bootstrap(metric: str) -> None:
    from sklearn.metrics import r2_score, root_mean_squared_error

    measure = {"r2": r2_score, "rmse": root_mean_squared_error}[metric]
    random = np.random.default_rng(2)
    y = random.standard_normal(N) * 3
    said = y + random.standard_normal(N)
    values = sample_values(metric, table(actual=y, predicted=said, residual=said - y), float(measure(y, said)))
    assert values is not None
    draws = [measure(y[pick], said[pick]) for pick in random.integers(0, N, (400, N))]
    assert values.std() / np.sqrt(N) == pytest.approx(np.std(draws), rel=0.12)


def test_a_table_that_gives_another_number_is_not_taken_for_the_metric() -> None:
    rows = table(correct=[1, 1, 0, 1], component=["a", "b", "a", "b"])
    assert sample_values("accuracy", rows, 0.75) is None, "lines of one sample are not independent"
    rows = table(correct=[1, 1, 0, 1])
    assert sample_values("accuracy", rows, 0.5) is None
    assert sample_values("macro_f1", rows, 0.75) is None
    assert sample_values("mean_iou", rows, 0.75) is None
