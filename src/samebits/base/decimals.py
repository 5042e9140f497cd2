"""Metrics as they are written to files, and as they are shown."""

from __future__ import annotations

import math

_DECIMALS = 6
_SIGNIFICANT = 4
_SMALL = 1e-3


def rounded(value: float | None) -> float | None:
    """A metric as it is written: six decimals, or four significant digits where these go further.

    What is beyond depends on how sums are split over threads. None for what is no finite number, which JSON has not.
    """
    if value is None or not math.isfinite(value):
        return None
    digits = _SIGNIFICANT - 1 - math.floor(math.log10(abs(value))) if value else 0
    return round(value, max(_DECIMALS, digits))


def shown(value: float | None) -> str:
    """A metric for a line of text: four decimals; of numbers below 0.001, four significant digits."""
    if value is None or not math.isfinite(value):
        return "undefined"
    return f"{value:.4g}" if 0.0 < abs(value) < _SMALL else f"{value:.4f}"


def significant(value: float, digits: int, sign: str = "") -> str:
    """A number with so many significant digits and a comma at thousands; whole from as many digits on, never -0.

    Args:
        sign: `+` shows the sign of positive numbers, too.
    """
    text = f"{value + 0.0:{sign},.{digits}g}"
    return f"{value:{sign},.0f}" if "e+" in text and abs(value) < 1e15 else text
