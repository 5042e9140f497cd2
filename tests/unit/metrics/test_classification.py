"""Metrics against scikit-learn, against numbers done by hand, and where they are undefined."""

from __future__ import annotations

import tracemalloc
from dataclasses import fields

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from samebits.base.errors import UserError
from samebits.metrics.classification import (
    METRICS,
    Metrics,
    Predictions,
    calibration_bins,
    evaluate_predictions,
    joined,
    most_confident_mistakes,
    predictions_from_logits,
)
from samebits.metrics.confusion import Confusion
from samebits.metrics.metric import measure as measure_all

RANDOM = np.random.Generator(np.random.Philox(7))
LABELS = RANDOM.integers(0, 5, 400)
LOGITS = (RANDOM.normal(size=(400, 5)) + 1.5 * np.eye(5)[LABELS]).astype(np.float32)


def measure(logits: np.ndarray, labels: np.ndarray, **settings: float) -> Metrics:
    values = {"top_k": 3, "bins": 15, "bootstrap": 200, "confidence": 0.95} | settings
    return evaluate_predictions(predictions_from_logits(logits, labels), **values)  # type: ignore[arg-type]


def said(labels: list[int], predicted: list[int], confidence: list[float], bins: int = 15) -> Predictions:
    """What was said of three classes, as far as confidence and classes go."""
    none = np.zeros(len(labels))
    classes = (np.array(each) for each in (labels, predicted))
    return Predictions(3, *classes, np.array(confidence), of_label=none, ahead=none.astype(int), bins=bins)


def test_agrees_with_scikit_learn() -> None:
    result = measure(LOGITS, LABELS)
    shifted = LOGITS.astype(np.float64)
    probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    predicted = LOGITS.argmax(axis=1)
    assert result.values["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(LABELS, predicted))
    assert result.values["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(LABELS, predicted, average="macro"))
    assert result.values["log_loss"] == pytest.approx(sklearn_metrics.log_loss(LABELS, probabilities))
    assert result.values["top_3_accuracy"] == pytest.approx(sklearn_metrics.top_k_accuracy_score(LABELS, LOGITS, k=3))
    assert (result.confusion.among(np.arange(5)) == sklearn_metrics.confusion_matrix(LABELS, predicted)).all()
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(LABELS, predicted)
    assert [score.precision for score in result.per_class] == pytest.approx(precision)
    assert [score.recall for score in result.per_class] == pytest.approx(recall)
    assert [score.f1 for score in result.per_class] == pytest.approx(f1)
    assert [score.support for score in result.per_class] == list(support)


def test_calibration_error_by_hand() -> None:
    # Two bins: (0, .5] holds one right answer at .4; (.5, 1] holds a right and a wrong one at .8.
    given = said([0, 1, 2], [0, 1, 0], [0.4, 0.8, 0.8], bins=2)
    table = calibration_bins(given, 2)
    assert [(entry.count, entry.accuracy) for entry in table] == [(1, 1.0), (2, 0.5)]
    assert measure_all(METRICS, given).values["calibration_error"] == pytest.approx((1 * 0.6 + 2 * 0.3) / 3)


def test_confidence_at_a_border_belongs_to_the_bin_below() -> None:
    given = said([0, 0, 0], [0, 0, 0], [0.5, 1.0, 0.51])
    assert [entry.count for entry in calibration_bins(given, 2)] == [1, 2]


def test_intervals_hold_the_value_narrow_with_samples_and_repeat() -> None:
    result = measure(LOGITS, LABELS, bootstrap=500)
    for name in ("accuracy", "top_3_accuracy", "log_loss", "macro_f1"):
        value, interval = result.values[name], result.intervals[name]
        assert value is not None
        assert interval.low < value < interval.high
    again = measure(LOGITS, LABELS, bootstrap=500)
    assert result.intervals == again.intervals
    four = measure(np.tile(LOGITS, (4, 1)), np.tile(LABELS, 4), bootstrap=500)
    width = result.intervals["accuracy"].high - result.intervals["accuracy"].low
    assert four.intervals["accuracy"].high - four.intervals["accuracy"].low == pytest.approx(width / 2, rel=0.25)
    wider = measure(LOGITS, LABELS, bootstrap=500, confidence=0.99)
    assert wider.intervals["accuracy"].high - wider.intervals["accuracy"].low > width


def test_interval_of_the_accuracy_is_the_binomial_one() -> None:
    labels = np.zeros(1000, dtype=np.int64)
    logits = np.where(np.arange(1000)[:, None] < 900, [[1.0, 0.0]], [[0.0, 1.0]])
    interval = measure(logits, labels, bootstrap=2000).intervals["accuracy"]
    half = 1.96 * (0.9 * 0.1 / 1000) ** 0.5
    assert interval.low == pytest.approx(0.9 - half, abs=0.002)
    assert interval.high == pytest.approx(0.9 + half, abs=0.002)


def test_chunks_of_resamples_do_not_change_the_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure(LOGITS, LABELS)
    monkeypatch.setattr("samebits.metrics.bootstrap._CHUNK_ELEMENTS", 7 * len(LABELS))
    assert measure(LOGITS, LABELS).intervals == whole.intervals


def test_a_class_without_samples_or_predictions_is_undefined_with_a_reason() -> None:
    logits = np.array([[5.0, 0.0, 0.0], [5.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    result = measure(logits, np.array([0, 1, 1]))
    empty = result.per_class[2]
    assert (empty.precision, empty.recall, empty.f1) == (None, None, None)
    assert "holds no sample" in result.undefined["class_2_recall"]
    assert "for no sample" in result.undefined["class_2_precision"]
    # The mean is over the classes that occur or are predicted.
    assert result.values["macro_f1"] == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_two_classes_have_no_top_k() -> None:
    result = measure(LOGITS[:, :2], LABELS % 2)
    assert set(result.values) == {"accuracy", "log_loss", "macro_f1", "calibration_error"}


def test_all_equal_logits_put_the_label_behind_lower_indices() -> None:
    result = measure(np.zeros((4, 4)), np.array([0, 1, 2, 3]), top_k=2)
    assert result.values["accuracy"] == 0.25
    assert result.values["top_2_accuracy"] == 0.5


def test_outputs_that_are_not_finite_name_the_sample() -> None:
    logits = LOGITS.copy()
    logits[17, 2] = np.nan
    with pytest.raises(UserError, match="1 of 400 test samples is not finite, first for test sample 17"):
        predictions_from_logits(logits, LABELS)


def test_huge_logits_stay_finite() -> None:
    result = measure(np.array([[1e4, 0.0, -1e4], [0.0, 1e4, 0.0]]), np.array([0, 0]))
    assert result.values["log_loss"] == pytest.approx(5000.0)


def test_no_sample_is_an_error() -> None:
    with pytest.raises(UserError, match="no sample"):
        predictions_from_logits(np.zeros((0, 3)), np.zeros(0, dtype=np.int64))


def test_mistakes_come_by_confidence_then_index() -> None:
    given = said([0, 0, 0, 0, 0], [1, 1, 0, 1, 1], [0.6, 0.9, 1.0, 0.6, 0.7])
    assert list(most_confident_mistakes(given, 3)) == [1, 4, 0]


def test_memory_grows_with_the_classes_and_not_with_their_square() -> None:
    random = np.random.Generator(np.random.Philox(1))
    labels = random.integers(0, 6000, 200)
    predictions = predictions_from_logits(random.normal(size=(200, 6000)), labels)
    tracemalloc.start()
    evaluate_predictions(predictions, top_k=3, bins=15, bootstrap=1000, confidence=0.95)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250 << 20  # a matrix of all pairs of classes has 275 MiB, and a resample would have one of its own


def test_parts_in_any_order_are_the_whole() -> None:
    order = RANDOM.permutation(len(LABELS))
    whole = predictions_from_logits(LOGITS, LABELS)
    parts = [predictions_from_logits(LOGITS[rows], LABELS[rows], rows) for rows in np.split(order, [1, 150])]
    found = joined(parts, order)
    assert found.probabilities is not None
    for each in fields(Predictions):
        assert np.array_equal(getattr(found, each.name), getattr(whole, each.name)), each.name


def test_a_part_that_is_not_finite_names_the_sample() -> None:
    with pytest.raises(UserError, match="for test sample 31 is not finite"):
        predictions_from_logits(np.array([[0.0, 1.0], [np.inf, 0.0]]), np.array([0, 1]), np.array([7, 31]))


def test_pairs_of_classes_are_the_matrix() -> None:
    predictions = predictions_from_logits(LOGITS, LABELS)
    found = Confusion.of_samples(predictions.classes, predictions.labels, predictions.predicted)
    matrix = sklearn_metrics.confusion_matrix(LABELS, predictions.predicted)
    assert (found.among(np.array([4, 1])) == matrix[np.ix_([4, 1], [4, 1])]).all()
    assert [*found.support] == [*matrix.sum(axis=1)]
    assert [*found.said] == [*matrix.sum(axis=0)]
    assert [*found.hits] == [*np.diag(matrix)]
    again = Confusion.of_matrix(matrix)
    assert all(np.array_equal(getattr(found, each.name), getattr(again, each.name)) for each in fields(Confusion))
