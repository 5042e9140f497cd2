"""Numbers that describe a classifier on a test split, with bootstrap confidence intervals.

Everything is numpy in float64, each sample for itself, so the same logits give the same numbers whatever the batch size
was. Of a split only some numbers of each sample are kept, not one a class: a split of 50,000 samples and 10,000 classes
has 4 GB of those. A number that is undefined (the F1 of a class without samples) is None, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.metrics.bootstrap import Floats, Ints, Resamples, Share, Statistic
from samebits.metrics.confusion import Confusion
from samebits.metrics.metric import (
    Metric,
    Scores,
    four_decimals,
    measure,
    per_sample,
    percent,
    require_finite,
    two_decimals,
)
from samebits.metrics.scores import class_f1, mean_of_classes


@dataclass(frozen=True)
class Predictions:
    """What the model said about each sample of a split.

    Attributes:
        classes: K.
        labels: [N], int64, the true classes.
        predicted: [N], int64, the class with the highest probability (the lowest index among equals).
        confidence: [N], float64, the probability of the predicted class.
        of_label: [N], float64, the logarithm of the probability of the true class.
        ahead: [N], int64, classes more probable than the true one; equals come in the order of their index.
        top_k: k of the top-k accuracy; below 2 there is none.
        bins: equal-width bins of the calibration error.
        held: [N], whether the true class is in the set of the calibration; None: there are no sets.
        set_sizes: [N], int64, classes in the set; None: there are no sets.
        unlike: [N], which samples are called unlike the training data; None: that is not said.
        probabilities: [N, K], float64; None: they were not kept.
    """

    classes: int
    labels: Ints
    predicted: Ints
    confidence: Floats
    of_label: Floats
    ahead: Ints
    top_k: int = 0
    bins: int = 15
    held: npt.NDArray[np.bool_] | None = None
    set_sizes: Ints | None = None
    unlike: npt.NDArray[np.bool_] | None = None
    probabilities: Floats | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def width(self) -> int:
        return self.classes

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        return np.equal(self.predicted, self.labels)

    @property
    def pair(self) -> tuple[Floats, Ints]:
        """Probabilities [N, K] and classes [N], where they were kept."""
        assert self.probabilities is not None
        return self.probabilities, self.labels

    def with_sets(self, in_set: npt.NDArray[np.bool_] | None) -> Predictions:
        """With the sets of the calibration.

        Args:
            in_set: [N, K], which classes are in them; None: there are none.
        """
        if in_set is None:
            return self
        return replace(self, held=in_set[np.arange(len(self)), self.labels], set_sizes=in_set.sum(axis=1))


@dataclass(frozen=True)
class ClassScores:
    """One class against the rest. None where the denominator is zero."""

    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Bin:
    """One bar of the reliability diagram: samples with confidence in (lower, upper]; None where there are none."""

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Metrics(Scores):
    """A test split's result.

    Attributes:
        per_class: K scores, in the order of the classes.
        bins: the reliability diagram.
    """

    confusion: Confusion
    per_class: list[ClassScores]
    bins: list[Bin]

    @property
    def undefined(self) -> dict[str, str]:
        """Name -> why it is None; of a class, `class_3_recall`."""
        reasons = super().undefined
        for index, score in enumerate(self.per_class):
            if score.support == 0:
                reasons[f"class_{index}_recall"] = "the test split holds no sample of this class"
            if score.predicted == 0:
                reasons[f"class_{index}_precision"] = "the model predicted this class for no sample"
        return reasons


def predictions_from_logits(
    logits: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], rows: Ints | None = None
) -> Predictions:
    """Softmax in float64, with all probabilities.

    Args:
        logits: [N, K].
        labels: [N], in 0..K-1.
        rows: of the split, which they are of, [N]; None: they are of the whole split.

    Raises:
        UserError: without samples, or when a logit is NaN or infinite: the sample is named.
    """
    values = np.asarray(logits, dtype=np.float64)
    if len(values) == 0:
        raise UserError("the test split holds no sample", "check data.source, then run: dvc repro")
    require_finite(values, rows)
    logs = values - values.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    true: Ints = np.asarray(labels, dtype=np.int64)
    each, predicted = np.arange(len(values)), logs.argmax(axis=1).astype(np.int64)
    of_label = logs[each, true]
    ahead = logs > of_label[:, None]
    ahead |= (logs == of_label[:, None]) & (np.arange(values.shape[1]) < true[:, None])
    return Predictions(
        classes=values.shape[1],
        labels=true,
        predicted=predicted,
        confidence=np.exp(logs[each, predicted]),
        of_label=of_label,
        ahead=ahead.sum(axis=1),
        probabilities=np.exp(logs),
    )


def joined(parts: Sequence[Predictions], rows: Ints) -> Predictions:
    """Predictions of parts of a split as those of the whole.

    Args:
        rows: of the split, which the samples of all parts are, one part after the other, [N].
    """
    order = np.argsort(rows)
    found: dict[str, Any] = {}
    for each in fields(Predictions):
        values = [getattr(part, each.name) for part in parts]
        if isinstance(values[0], np.ndarray):
            found[each.name] = np.concatenate(values)[order]
    return replace(parts[0], **found)


def evaluate_predictions(
    predictions: Predictions,
    *,
    top_k: int,
    bins: int,
    bootstrap: int,
    confidence: float,
    more: Sequence[Metric[Predictions]] = (),
) -> Metrics:
    """All metrics of a split.

    Args:
        top_k: k of the top-k accuracy; capped at the number of classes less one, beyond which it is always 1.
        bins: equal-width bins of the calibration error.
        bootstrap: resamples behind the intervals.
        confidence: level of the intervals, such as 0.95.
        more: metrics beside `METRICS`.
    """
    predictions = replace(predictions, top_k=min(top_k, predictions.classes - 1), bins=bins)
    scores = measure([*METRICS, *more], predictions, bootstrap=bootstrap, confidence=confidence).scores
    confusion = Confusion.of_samples(predictions.classes, predictions.labels, predictions.predicted)
    return Metrics(scores, confusion, class_scores(confusion), calibration_bins(predictions, bins))


def class_scores(confusion: Confusion) -> list[ClassScores]:
    """Precision, recall and F1 of each class.

    F1 is 2·TP / (2·TP + FP + FN): 0 for a class that is never right, None for one that neither occurs nor is predicted.
    """
    hits, support, predicted = confusion.hits, confusion.support, confusion.said
    return [
        ClassScores(
            support=int(support[k]),
            predicted=int(predicted[k]),
            precision=_ratio(hits[k], predicted[k]),
            recall=_ratio(hits[k], support[k]),
            f1=_ratio(2 * hits[k], support[k] + predicted[k]),
        )
        for k in range(confusion.classes)
    ]


def calibration_bins(predictions: Predictions, bins: int) -> list[Bin]:
    """Samples grouped by the confidence of their prediction into `bins` equal parts of (0, 1]."""
    which = _bin_index(predictions.confidence, bins)
    counts = np.bincount(which, minlength=bins)
    confidences = np.bincount(which, weights=predictions.confidence, minlength=bins)
    hits = np.bincount(which, weights=predictions.correct, minlength=bins)
    return [
        Bin(k / bins, (k + 1) / bins, int(counts[k]), _ratio(confidences[k], counts[k]), _ratio(hits[k], counts[k]))
        for k in range(bins)
    ]


def most_confident_mistakes(predictions: Predictions, limit: int) -> Ints:
    """Indices of the wrong predictions with the highest confidence, highest first, at most `limit`."""
    wrong = np.flatnonzero(~predictions.correct)
    order = np.argsort(-predictions.confidence[wrong], kind="stable")
    return wrong[order][:limit].astype(np.int64)


class _Groups:
    """Sums of columns that belong to the same group."""

    def __init__(self, membership: Ints, groups: int) -> None:
        self.order = np.argsort(membership, kind="stable")
        self.present, self.starts = np.unique(membership[self.order], return_index=True)
        self.groups = groups

    def sums(self, values: Floats) -> Floats:
        """[R, N] -> [R, groups]."""
        out = np.zeros((len(values), self.groups))
        out[:, self.present] = np.add.reduceat(values[:, self.order], self.starts, axis=1)
        return out


def _top_k(predictions: Predictions) -> Statistic | None:
    """Whether the label is among the k most probable classes."""
    return None if predictions.top_k < 2 else Share(predictions.ahead < predictions.top_k)


def _macro_f1(predictions: Predictions) -> Statistic:
    """Mean F1 over the classes that occur or are predicted.

    Of a confusion matrix no more than its diagonal and margins is needed, so memory grows with the number of classes,
    not with its square.
    """
    correct = predictions.correct
    of_label = _Groups(predictions.labels, predictions.classes)
    of_predicted = _Groups(predictions.predicted, predictions.classes)

    def statistic(drawn: Resamples) -> Floats:
        hits = of_label.sums(drawn.weights * correct)
        return mean_of_classes(class_f1(hits, of_label.sums(drawn.weights), of_predicted.sums(drawn.weights)))

    return statistic


def _calibration_error(predictions: Predictions) -> Statistic:
    """Expected calibration error (Naeini et al., 2015; Guo et al., 2017): the mean over samples of
    |accuracy - confidence| of the sample's bin."""
    of_bin = _Groups(_bin_index(predictions.confidence, predictions.bins), predictions.bins)
    gaps = predictions.correct - predictions.confidence

    def statistic(drawn: Resamples) -> Floats:
        errors: Floats = np.abs(of_bin.sums(drawn.weights * gaps)).sum(axis=1) / len(predictions)
        return errors

    return statistic


METRICS: list[Metric[Predictions]] = [
    Metric("accuracy", "Accuracy", percent, "higher", per_sample(lambda p: p.correct), headline=True),
    Metric("top_{p.top_k}_accuracy", "Top-{p.top_k} accuracy", percent, None, _top_k, baseline=False),
    Metric("log_loss", "Log loss", four_decimals, "lower", per_sample(lambda p: -p.of_label), headline=True),
    Metric("macro_f1", "Macro F1", percent, "higher", _macro_f1, headline=True, baseline=False),
    # No worse than the champion's is a condition of its own: model_registry/gate.py.
    Metric("calibration_error", "Calibration error", percent, None, _calibration_error, baseline=False),
    Metric("set_coverage", "True class in the set", percent, None, per_sample(lambda p: p.held), baseline=False),
    Metric("set_size", "Classes in the set", two_decimals, None, per_sample(lambda p: p.set_sizes), baseline=False),
    Metric(
        "ood_rate", "Called unlike the training data", percent, None, per_sample(lambda p: p.unlike), baseline=False
    ),
]


def _bin_index(confidence: Floats, bins: int) -> Ints:
    """Bin of each confidence; bin k is (k / bins, (k + 1) / bins]."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _ratio(part: float | np.number, whole: float | np.number) -> float | None:
    return float(part) / float(whole) if whole else None
