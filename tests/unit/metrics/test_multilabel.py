"""Scores of several labels, beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from samebits.base.errors import UserError
from samebits.metrics.bootstrap import Resamples, whole
from samebits.metrics.metric import measure
from samebits.metrics.multilabel import METRICS, LabelPredictions, average_precisions, predictions_from_logits


def made(seed: int = 3, samples: int = 60, labels: int = 4) -> LabelPredictions:
    """Probabilities with many equals, and a label that no sample has."""
    random = np.random.default_rng(seed)
    actual = random.random((samples, labels)) < 0.4
    actual[:, -1] = False
    return LabelPredictions(actual, np.round(0.5 * actual + 0.6 * random.random(actual.shape), 1) / 1.1)


def test_scores_are_scikit_learns() -> None:
    found = made()
    values = measure(METRICS, found).values
    known = found.actual.any(axis=0)
    areas = [average_precision_score(found.actual[:, k], found.probabilities[:, k]) for k in np.flatnonzero(known)]
    assert values["mean_average_precision"] == pytest.approx(np.mean(areas))
    counted = known | found.predicted.any(axis=0)
    assert values["macro_f1"] == pytest.approx(f1_score(found.actual, found.predicted, average=None)[counted].mean())
    assert values["micro_f1"] == pytest.approx(f1_score(found.actual, found.predicted, average="micro"))
    assert np.isnan(average_precisions(found, whole(len(found)))[0, ~known]).all()


def test_a_resample_is_scored_as_if_it_were_the_split() -> None:
    found = made()
    picks = np.random.default_rng(0).integers(0, len(found), (3, len(found)))
    of_resamples = average_precisions(found, Resamples(picks))
    for rows, areas in zip(picks, of_resamples, strict=True):
        drawn = LabelPredictions(found.actual[rows], found.probabilities[rows])
        assert areas == pytest.approx(average_precisions(drawn, whole(len(drawn)))[0], nan_ok=True)


def test_every_metric_has_an_interval_of_its_own() -> None:
    scores = measure(METRICS, made(), bootstrap=200)
    assert all(interval.low < interval.high for interval in scores.intervals.values())
    assert set(scores.intervals) == set(scores.values)


def test_outputs_that_are_not_finite_are_refused() -> None:
    logits = np.zeros((3, 2))
    logits[1, 1] = np.inf
    with pytest.raises(UserError, match="for 1 of 3 test samples is not finite, first for test sample 1"):
        predictions_from_logits(logits, np.zeros((3, 2), dtype=np.uint8))
