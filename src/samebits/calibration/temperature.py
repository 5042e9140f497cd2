"""Temperature scaling (Guo et al., 2017): the one number that logits are divided by so that the log loss is least.

The mean log loss is convex in 1 / temperature, so Newton's method between two bounds finds its least value. All in
float64 and in a fixed order; the result is written with six significant digits, so it is the same on every processor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from samebits.base.decimals import rounded
from samebits.calibration.rows import Rows

LEAST, MOST = 0.05, 20.0
"""A temperature beyond these comes from a validation split that the model answers without a mistake, or cannot."""
_STEPS = 100
_PRECISION = 1e-10


@dataclass(frozen=True)
class FittedTemperature:
    """A temperature, and the mean log loss of the rows that it was fitted on, with it and without."""

    temperature: float
    log_loss: float | None
    log_loss_before: float | None


def fit_temperature(parts: Iterable[Rows]) -> FittedTemperature | None:
    """The temperature with the least log loss over all rows; None if it is not between `LEAST` and `MOST`.

    Args:
        parts: some of the rows each; read about ten times.
    """
    low, high = 1.0 / MOST, 1.0 / LEAST
    if not _losses(parts, low)[1] < 0.0 < _losses(parts, high)[1]:
        return None
    inverse = 1.0
    for _ in range(_STEPS):
        _, slope, bend = _losses(parts, inverse)
        low, high = (low, inverse) if slope > 0.0 else (inverse, high)
        step = inverse - slope / bend if bend > 0.0 else low
        found = step if low < step < high else (low * high) ** 0.5
        if abs(found - inverse) <= _PRECISION * inverse:
            break
        inverse = found
    temperature = float(f"{1.0 / inverse:.6g}")
    after, before = (_losses(parts, each)[0] for each in (1.0 / temperature, 1.0))
    return FittedTemperature(temperature, rounded(after), rounded(before))


def _losses(parts: Iterable[Rows], inverse: float) -> tuple[float, float, float]:
    """The mean log loss at an inverse temperature, and its first and second derivative by it."""
    total, slope, bend, count = 0.0, 0.0, 0.0, 0
    for logits, classes in parts:
        # What the true class is behind the others; the log loss is log sum exp of them.
        part = logits - logits[np.arange(len(classes)), classes][:, None]
        scaled = inverse * part
        highest = scaled.max(axis=1, keepdims=True)
        shares = np.exp(scaled - highest)
        sums = shares.sum(axis=1, keepdims=True)
        shares /= sums
        means = (shares * part).sum(axis=1)
        total += float((highest + np.log(sums)).sum())
        slope += float(means.sum())
        bend += float(((shares * part * part).sum(axis=1) - means * means).sum())
        count += len(part)
    return total / count, slope / count, bend / count
