"""Scores as plain functions of arrays, for whoever needs one number: evaluation, export, training."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


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
