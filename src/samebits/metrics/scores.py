"""Scores as plain functions of arrays, for whoever needs one number: evaluation, export, training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PIXELS_AT_ONCE = 1 << 24
"""Numbers of masks that are looked at together, at most: a split's are read in parts."""


def accuracy(predicted: npt.NDArray[np.integer], labels: npt.NDArray[np.integer]) -> float:
    """Share of samples, [N] each, whose predicted class is the true one."""
    return float(np.equal(predicted, labels).mean())


def r2(actual: Floats, predicted: Floats) -> Floats:
    """Coefficient of determination: 1 - sum of squared residuals / sum of squared deviations from the mean.

    Args:
        actual: [..., N], as are `predicted`.

    Returns:
        [...]; NaN where all of `actual` are equal.
    """
    squared = ((predicted - actual) ** 2).sum(axis=-1)
    spread = ((actual - actual.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    # The mean of equal numbers may be off by a bit, and the spread above 0.
    defined = (actual.max(axis=-1) > actual.min(axis=-1)) & (spread > 0.0)
    return np.where(defined, 1.0 - squared / np.where(defined, spread, 1.0), np.nan)


def token_metrics(loss: float, bytes_per_token: float | None) -> dict[str, float]:
    """What follows from the mean loss in nats per token.

    Perplexity depends on how the text is cut into tokens; bits per byte do not, so they compare tokenisers.
    """
    # exp(700) is the largest power of ten that a float holds; only a model that diverged gets there.
    found = {"perplexity": math.exp(min(loss, 700.0))}
    if bytes_per_token is not None:
        found["bits_per_byte"] = loss / math.log(2.0) / bytes_per_token
    return found


def confusion(predicted: npt.NDArray[Any], actual: npt.NDArray[Any], classes: int) -> Ints:
    """Pixels by true class (rows) and predicted one (columns), int64 [K, K]; a true class of K or more does not count.

    Args:
        predicted, actual: of one shape.
    """
    valid = actual < classes
    cells = actual[valid].astype(np.int64) * classes + predicted[valid]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def class_ious(both: npt.NDArray[Any], actual: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> Floats:
    """Intersection over union of each class, [..., K]; NaN where neither mask has the class.

    Args:
        both, actual, predicted: pixels of each class in both masks, in the true and in the predicted one.
    """
    union = actual + predicted - both
    return np.where(union > 0, both / np.maximum(union, 1), np.nan)


def class_f1(both: npt.NDArray[Any], actual: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> Floats:
    """F1 of each class, [..., K], of pixels the Dice coefficient: 2 both / (actual + predicted); NaN where there are
    none.

    Args:
        both, actual, predicted: samples or pixels of each class that are so and said to be, that are, that are said to.
    """
    sizes = actual + predicted
    return np.where(sizes > 0, 2.0 * both / np.maximum(sizes, 1), np.nan)


def mean_of_classes(scores: Floats) -> Floats:
    """Mean over the classes that have a score, [..., K] -> [...]; NaN where none has."""
    defined = np.isfinite(scores)
    count = defined.sum(axis=-1)
    return np.where(count > 0, np.where(defined, scores, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def mean_iou(counts: Ints) -> float:
    """Mean IoU of a confusion, [K, K]."""
    return float(mean_of_classes(class_ious(np.diag(counts), counts.sum(axis=1), counts.sum(axis=0))))
