"""Numbers that describe several labels at once on a test split, with bootstrap confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samebits.metrics.bootstrap import Floats, Resamples, Statistic
from samebits.metrics.metric import Metric, four_decimals, per_sample, percent, require_finite
from samebits.metrics.scores import class_f1, mean_of_classes


@dataclass(frozen=True)
class LabelPredictions:
    """What the model said about each sample.

    Attributes:
        actual: [N, K], bool.
        probabilities: [N, K], float64; above one half, a label is said to apply.
    """

    actual: npt.NDArray[np.bool_]
    probabilities: Floats

    def __len__(self) -> int:
        return len(self.actual)

    @property
    def width(self) -> int:
        return int(self.actual.shape[1])

    @property
    def predicted(self) -> npt.NDArray[np.bool_]:
        """[N, K]."""
        return self.probabilities > 0.5

    @property
    def pair(self) -> tuple[Floats, npt.NDArray[np.uint8]]:
        """Probabilities and labels, [N, K] each."""
        return self.probabilities, self.actual.astype(np.uint8)

    @property
    def losses(self) -> Floats:
        """[N], binary cross entropy, the mean over the labels."""
        of_truth = np.where(self.actual, self.probabilities, 1.0 - self.probabilities)
        losses: Floats = -np.log(np.maximum(of_truth, 1e-300)).mean(axis=1)
        return losses


def predictions_from_logits(logits: npt.NDArray[np.floating], actual: npt.NDArray[np.integer]) -> LabelPredictions:
    """Sigmoid in float64.

    Args:
        logits: [N, K].
        actual: [N, K], 0 or 1.

    Raises:
        UserError: when a logit is NaN or infinite: the sample is named.
    """
    values = np.asarray(logits, dtype=np.float64)
    require_finite(values)
    # 0.5 * (1 + tanh(x / 2)) is the sigmoid, and overflows nowhere.
    return LabelPredictions(np.asarray(actual) > 0, 0.5 * (1.0 + np.tanh(values / 2.0)))


def label_scores(predictions: LabelPredictions) -> list[tuple[int, int, float | None, float | None, float | None]]:
    """Of each label: samples that have it, samples that are said to, precision, recall, F1; None where undefined."""
    both = (predictions.actual & predictions.predicted).sum(axis=0)
    actual, said = predictions.actual.sum(axis=0), predictions.predicted.sum(axis=0)

    def ratio(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    return [
        (a, s, ratio(b, s), ratio(b, a), ratio(2 * b, a + s))
        for a, s, b in zip(actual.tolist(), said.tolist(), both.tolist(), strict=True)
    ]


def average_precisions(predictions: LabelPredictions, drawn: Resamples) -> Floats:
    """Of each label in each resample, [R, K], the area under precision by recall, equal probabilities taken together;
    NaN where no sample has the label."""
    found = np.full((len(drawn.picks), predictions.width), np.nan)
    for k, (true, shares) in enumerate(zip(predictions.actual.T, predictions.probabilities.T, strict=True)):
        order = np.argsort(-shares, kind="stable")
        last = np.append(np.diff(shares[order]) != 0, True)  # of each group of equals
        weights = drawn.weights[:, order]
        hits, ranked = (np.cumsum(each, axis=1)[:, last] for each in (weights * true[order], weights))
        gained = np.diff(hits, prepend=0.0, axis=1)
        total = hits[:, -1]
        areas = (gained * hits / np.maximum(ranked, 1.0)).sum(axis=1)
        found[:, k] = np.where(total > 0, areas / np.maximum(total, 1.0), np.nan)
    return found


def _f1(predictions: LabelPredictions, *, macro: bool) -> Statistic:
    actual, said = predictions.actual, predictions.predicted
    of_each = [each.astype(np.float64) for each in (actual & said, actual, said)]

    def statistic(drawn: Resamples) -> Floats:
        # Counts below 2**53: exact in any order.
        counts = [drawn.weights @ each for each in of_each]
        if not macro:
            counts = [each.sum(axis=1, keepdims=True) for each in counts]
        return mean_of_classes(class_f1(*counts))

    return statistic


def _mean_average_precision(predictions: LabelPredictions) -> Statistic:
    return lambda drawn: mean_of_classes(average_precisions(predictions, drawn))


METRICS: list[Metric[LabelPredictions]] = [
    Metric("macro_f1", "Macro F1", percent, "higher", lambda p: _f1(p, macro=True), headline=True),
    Metric("micro_f1", "Micro F1", percent, "higher", lambda p: _f1(p, macro=False), headline=True),
    Metric("mean_average_precision", "Mean average precision", percent, "higher", _mean_average_precision),
    Metric(
        "exact_match",
        "All labels right",
        percent,
        "higher",
        per_sample(lambda p: (p.actual == p.predicted).all(axis=1)),
    ),
    Metric("log_loss", "Log loss", four_decimals, "lower", per_sample(lambda p: p.losses)),
]
