"""Values per sample from the tables that evaluators write: their mean is the metric, their variance that of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from samebits.evaluation import classification, multilabel, regression, segmentation, tags, vector
from samebits.evaluation.inputs import Origin
from samebits.metrics.classification import METRICS as CLASSIFICATION_METRICS
from samebits.metrics.classification import predictions_from_logits
from samebits.metrics.metric import Scores, measure
from samebits.metrics.multilabel import METRICS as MULTILABEL_METRICS
from samebits.metrics.multilabel import LabelPredictions
from samebits.metrics.regression import METRICS as REGRESSION_METRICS
from samebits.metrics.regression import RegressionPredictions
from samebits.metrics.segmentation import METRICS as SEGMENTATION_METRICS
from samebits.metrics.segmentation import MaskOverlaps
from samebits.metrics.tags import METRICS as TAGS_METRICS
from samebits.metrics.tags import Overlaps, TagPredictions
from samebits.metrics.vector import METRICS as VECTOR_METRICS
from samebits.metrics.vector import VectorPredictions
from samebits.sweeps.sample_values import sample_values

N = 300


def table(**columns: Any) -> pd.DataFrame:
    text = pd.DataFrame(columns).to_csv(index=False)
    return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)


ORIGINS = [Origin(f"s{index}", "") for index in range(N)]
RANDOM = np.random.default_rng(1)


def of_classes() -> tuple[bytes, Scores]:
    logits = RANDOM.standard_normal((N, 4))
    found = predictions_from_logits(logits, RANDOM.integers(0, 3, N))  # one class is said and never true
    written = classification._predictions_csv(found, ["a", "7", "07", "NA"], ORIGINS)
    return written, measure(CLASSIFICATION_METRICS, found)


def of_numbers() -> tuple[bytes, Scores]:
    actual = 1e4 + RANDOM.standard_normal(N) * 3
    found = RegressionPredictions(actual, actual + RANDOM.standard_normal(N))
    return regression._predictions_csv(found, ORIGINS), measure(REGRESSION_METRICS, found)


def overlaps(kinds: int) -> Overlaps:
    there, said = RANDOM.integers(0, 9, (2, N, kinds))
    return Overlaps(RANDOM.integers(0, np.minimum(there, said) + 1), there, said)


def of_tags() -> tuple[bytes, Scores]:
    none = np.zeros((N, 1), dtype=np.int16)
    found = TagPredictions(overlaps(3), overlaps(2), RANDOM.random(N) * 9, (none, none))
    return tags._predictions_csv(found, ORIGINS), measure(TAGS_METRICS, found)


def of_masks() -> tuple[bytes, Scores]:
    each = overlaps(3)
    found = MaskOverlaps(each.right, each.there + 1, each.said + 1, RANDOM.random(N) * 9)
    return segmentation._predictions_csv(found, ORIGINS), measure(SEGMENTATION_METRICS, found)


def of_vectors() -> tuple[bytes, Scores]:
    actual = RANDOM.standard_normal((N, 3))
    found = VectorPredictions(actual, actual + RANDOM.standard_normal((N, 3)) / 2, np.ones(3))
    return vector._predictions_csv(found, ORIGINS, ["x", "y", "z"]), measure(VECTOR_METRICS, found)


def of_labels() -> tuple[bytes, Scores]:
    names = ["a", "b", "aa", "never"]
    actual = RANDOM.random((N, 4)) < [0.5, 0.2, 0.3, 0.0]
    shares = np.where(actual, 0.9, 0.3) * RANDOM.random((N, 4)) + [0.0, 0.1, 0.0, 0.0]
    shares[:, 3] *= 0.1
    found = LabelPredictions(actual, shares)
    return multilabel._predictions_csv(found, names, ORIGINS), measure(MULTILABEL_METRICS, found)


@pytest.mark.parametrize(
    ("make", "without"),
    [
        (of_classes, set()),
        (of_numbers, set()),
        (of_tags, {"entity_macro_f1", "tag_macro_f1"}),
        (of_vectors, {"rmse_in_std", "mae_in_std"}),
        (of_labels, {"mean_average_precision"}),
        (of_masks, {"mean_iou", "mean_dice"}),
    ],
)
def test_they_are_of_the_metrics_that_the_stage_computes(
    make: Callable[[], tuple[bytes, Scores]], without: set[str]
) -> None:
    """From the table that the stage writes; the others that can decide are the ones that it does not have."""
    written, scores = make()
    rows = pd.read_csv(io.BytesIO(written), dtype=str, keep_default_na=False)
    missing = set()
    for score in scores.scores:
        if score.metric.better is None:
            continue
        assert score.value is not None
        values = sample_values(score.name, rows, score.value)
        if values is None:
            missing.add(score.name)
        else:
            assert values.shape == (N,)
            assert values.mean() == pytest.approx(score.value, abs=1e-12), score.name
    assert missing == without


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
    rows = table(correct=[1, 1, 0, 1])
    assert sample_values("accuracy", rows, 0.5) is None
    assert sample_values("macro_f1", rows, 0.75) is None
    assert sample_values("mean_iou", rows, 0.75) is None
