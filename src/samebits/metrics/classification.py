"""Numbers that describe a classifier on a test split, with bootstrap confidence intervals.

Everything is numpy in float64 on arrays of one row a sample, so the same logits give the same numbers whatever
the batch size was. A number that is undefined (the F1 of a class without samples) is None, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BOOTSTRAP_SEED = 20_260_101
"""Fixed: intervals are a property of the predictions, and no parameter should move them."""

_CHUNK_ELEMENTS = 4_000_000  # resampled rows drawn at a time: 32 MB of int64


@dataclass(frozen=True)
class Predictions:
    """What the model said about each sample of a split.

    Attributes:
        log_probabilities: [N, K], float64, natural logarithms.
        labels: [N], int64, the true classes.
        predicted: [N], int64, the class with the highest probability (the lowest index among equals).
        confidence: [N], float64, the probability of the predicted class.
    """

    log_probabilities: Floats
    labels: Ints
    predicted: Ints
    confidence: Floats

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        return int(self.log_probabilities.shape[1])

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        return np.equal(self.predicted, self.labels)


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
class Interval:
    """Percentile bootstrap interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Metrics:
    """A test split's result.

    Attributes:
        values: name -> number: accuracy, top_K_accuracy, macro_f1, log_loss, calibration_error; None if undefined.
        intervals: name -> confidence interval, for the same names.
        undefined: name -> why it is None.
        confusion: [K, K], int64, rows are true classes, columns predicted ones.
        per_class: K scores, in the order of the classes.
        bins: the reliability diagram.
    """

    values: dict[str, float | None]
    intervals: dict[str, Interval]
    undefined: dict[str, str]
    confusion: Ints
    per_class: list[ClassScores]
    bins: list[Bin]


def predictions_from_logits(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> Predictions:
    """Softmax in float64.

    Args:
        logits: [N, K].
        labels: [N], in 0..K-1.

    Raises:
        UserError: without samples, or when a logit is NaN or infinite: the sample is named.
    """
    values = np.asarray(logits, dtype=np.float64)
    if len(values) == 0:
        raise UserError("the test split holds no sample", "check data.source, then run: dvc repro")
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        first = int(np.flatnonzero(~finite)[0])
        raise UserError(
            f"the model's output for {int((~finite).sum())} of {len(values)} test samples is not finite, first "
            f"for test sample {first}",
            "the weights are damaged or the training diverged: lower train.optimizer.lr and train again",
        )
    log_probabilities = np.empty_like(values)
    block = max(1, _CHUNK_ELEMENTS // values.shape[1])
    for start in range(0, len(values), block):
        part = values[start : start + block]
        shifted = part - part.max(axis=1, keepdims=True)
        log_probabilities[start : start + block] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    predicted = log_probabilities.argmax(axis=1).astype(np.int64)
    confidence = np.exp(log_probabilities[np.arange(len(values)), predicted])
    return Predictions(log_probabilities, np.asarray(labels, dtype=np.int64), predicted, confidence)


def evaluate_predictions(
    predictions: Predictions, *, top_k: int, bins: int, bootstrap: int, confidence: float
) -> Metrics:
    """All metrics of a split.

    Args:
        top_k: k of the top-k accuracy; capped at the number of classes less one, beyond which it is always 1.
        bins: equal-width bins of the calibration error.
        bootstrap: resamples behind the intervals.
        confidence: level of the intervals, such as 0.95.
    """
    matrix = confusion_matrix(predictions)
    scores = class_scores(matrix)
    table = calibration_bins(predictions, bins)
    rows = _per_sample(predictions, top_k)
    values: dict[str, float | None] = {name: float(row.mean()) for name, row in rows.items()}
    hits, support, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    values["macro_f1"] = _macro_f1(hits[None], (support + predicted)[None])[0].item()
    values["calibration_error"] = calibration_error(table, len(predictions))
    undefined: dict[str, str] = {}
    for index, score in enumerate(scores):
        if score.support == 0:
            undefined[f"class_{index}_recall"] = "the test split holds no sample of this class"
        if score.predicted == 0:
            undefined[f"class_{index}_precision"] = "the model predicted this class for no sample"
    if np.isnan(values["macro_f1"] or 0.0):
        values["macro_f1"] = None
        undefined["macro_f1"] = "no class has a sample or a prediction"
    intervals = _bootstrap(predictions, rows, bins, bootstrap, confidence)
    return Metrics(values, intervals, undefined, matrix, scores, table)


def confusion_matrix(predictions: Predictions) -> Ints:
    """[K, K] counts: row = true class, column = predicted class."""
    classes = predictions.classes
    cells = predictions.labels * classes + predictions.predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64, copy=False)


def class_scores(confusion: Ints) -> list[ClassScores]:
    """Precision, recall and F1 of each class.

    F1 is 2·TP / (2·TP + FP + FN): 0 for a class that is never right, None for one that neither occurs nor is predicted.
    """
    hits = np.diag(confusion)
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        ClassScores(
            support=int(support[k]),
            predicted=int(predicted[k]),
            precision=_ratio(hits[k], predicted[k]),
            recall=_ratio(hits[k], support[k]),
            f1=_ratio(2 * hits[k], support[k] + predicted[k]),
        )
        for k in range(len(confusion))
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


def calibration_error(table: list[Bin], samples: int) -> float:
    """Expected calibration error (Naeini et al., 2015; Guo et al., 2017): the mean over samples of
    |accuracy - confidence| of the sample's bin."""
    gaps = [
        entry.count * abs(entry.accuracy - entry.confidence)
        for entry in table
        if entry.accuracy is not None and entry.confidence is not None
    ]
    return float(sum(gaps) / samples)


def most_confident_mistakes(predictions: Predictions, limit: int) -> Ints:
    """Indices of the wrong predictions with the highest confidence, highest first, at most `limit`."""
    wrong = np.flatnonzero(~predictions.correct)
    order = np.argsort(-predictions.confidence[wrong], kind="stable")
    return wrong[order][:limit].astype(np.int64)


def _per_sample(predictions: Predictions, top_k: int) -> dict[str, Floats]:
    """Metrics that are means over samples, as one value a sample."""
    everyone = np.arange(len(predictions))
    of_label = predictions.log_probabilities[everyone, predictions.labels]
    rows: dict[str, Floats] = {"accuracy": predictions.correct.astype(np.float64)}
    k = min(top_k, predictions.classes - 1)
    if k >= 2:
        # A label is in the top k if fewer than k classes come before it; equals come in the order of their index.
        ahead = predictions.log_probabilities > of_label[:, None]
        ties = predictions.log_probabilities == of_label[:, None]
        ties &= np.arange(predictions.classes)[None] < predictions.labels[:, None]
        ahead |= ties
        rows[f"top_{k}_accuracy"] = (ahead.sum(axis=1) < k).astype(np.float64)
    rows["log_loss"] = -of_label
    return rows


def _bootstrap(
    predictions: Predictions, rows: dict[str, Floats], bins: int, resamples: int, confidence: float
) -> dict[str, Interval]:
    """Percentile intervals over resamples of the split with replacement (Efron, 1979).

    A resample is a vector of how often each sample was drawn. Means are weighted sums of the per-sample values; the
    counts of a class and the calibration bins are sums of those weights over groups of samples. Of a confusion matrix
    no more than its diagonal and margins is needed, so memory grows with the number of classes, not with its square.
    """
    samples, classes = len(predictions), predictions.classes
    generator = np.random.Generator(np.random.Philox(BOOTSTRAP_SEED))
    correct = predictions.correct
    of_label, of_predicted = _Groups(predictions.labels, classes), _Groups(predictions.predicted, classes)
    of_bin = _Groups(_bin_index(predictions.confidence, bins), bins)
    gaps = predictions.correct - predictions.confidence
    drawn: dict[str, list[Floats]] = {name: [] for name in [*rows, "macro_f1", "calibration_error"]}
    chunk = max(1, _CHUNK_ELEMENTS // max(samples, classes))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        picks = generator.integers(0, samples, size=(size, samples))
        picks += np.arange(size)[:, None] * samples
        weights = np.bincount(picks.ravel(), minlength=size * samples).reshape(size, samples).astype(np.float64)
        for name, row in rows.items():
            # Not a matrix product: BLAS may sum in another order with another number of threads.
            drawn[name].append((weights * row).sum(axis=1) / samples)
        total = of_label.sums(weights) + of_predicted.sums(weights)
        drawn["macro_f1"].append(_macro_f1(of_label.sums(weights * correct), total))
        drawn["calibration_error"].append(np.abs(of_bin.sums(weights * gaps)).sum(axis=1) / samples)
    tail = (1.0 - confidence) / 2.0
    intervals = {}
    for name, parts in drawn.items():
        finite = np.concatenate(parts)
        finite = finite[~np.isnan(finite)]
        if len(finite):
            low, high = np.quantile(finite, [tail, 1.0 - tail])
            intervals[name] = Interval(float(low), float(high))
    return intervals


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


def _macro_f1(hits: npt.NDArray[np.number], total: npt.NDArray[np.number]) -> Floats:
    """Mean F1 over the classes that occur or are predicted, [R]; NaN if there is none.

    Args:
        hits: samples of a class that are right, [R, K].
        total: its samples and its predictions together, [R, K].
    """
    counted = total > 0
    scores = np.where(counted, 2.0 * hits / np.where(counted, total, 1.0), 0.0).sum(axis=1)
    classes = counted.sum(axis=1)
    return np.where(classes > 0, scores / np.maximum(classes, 1), np.nan)


def _bin_index(confidence: Floats, bins: int) -> Ints:
    """Bin of each confidence; bin k is (k / bins, (k + 1) / bins]."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _ratio(part: float | np.number, whole: float | np.number) -> float | None:
    return float(part) / float(whole) if whole else None
