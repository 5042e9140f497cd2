"""Numbers as outputs of stages hold them, and as they are shown.

How many digits an output holds: two machines that compute the same thing round single operations in another order or
by other instructions, so that their numbers are a small d apart. Written in steps of q, the two texts differ where a
boundary between steps lies in that gap: about d / q of all numbers. Fewer digits make that rarer and never impossible,
so the digits follow from the arithmetic, and an output of many numbers is computed in float64:

| computed in | d, relative | written | texts that differ |
|---|---|---|---|
| float64: all that `evaluate` writes | 1e-14 | 6 decimals; 4 to 10 significant digits | 1 in 10,000 or fewer |
| float32, one mean over a split: the score in `export.json` | 1e-8 | 5 significant digits | 1 in 1,000 or fewer |
| float32, answers that `predict` prints | 1e-7 | 5 significant digits; of probabilities 4 decimals | 1 in 500 at most |
| anything that was measured: parity, latency, memory | all of it | in no output | none |

An order (the worst samples first) has no digits to drop: answers that should be equal are a last bit apart. So the
model's answers in float64 are rounded to `ANSWER_DECIMALS` before anything is made of them.

What `train` writes (weights, curves) is the training's own arithmetic, and keeps every digit.
"""

from __future__ import annotations

import math

ANSWER_DECIMALS = 9
_DECIMALS = 6
_SIGNIFICANT, _MOST_SIGNIFICANT = 4, 10
_SINGLE_SIGNIFICANT, _SINGLE_DECIMALS = 5, 4
_SMALL = 1e-3


def rounded(value: float | None) -> float | None:
    """A metric computed in float64 as it is written: six decimals, with four to ten significant digits.

    None for what is no finite number, which JSON has not.
    """
    if value is None or not math.isfinite(value):
        return None
    most = max(0, _places(value, _MOST_SIGNIFICANT)) if value else _DECIMALS
    return round(value, max(min(_DECIMALS, most), _places(value, _SIGNIFICANT)))


def rounded_single(value: float | None) -> float | None:
    """A metric computed in float32 as it is written: five significant digits. None as of `rounded`."""
    if value is None or not math.isfinite(value):
        return None
    # Of a score near 0, such as R², the error is that of 1.
    return round(value, min(_SINGLE_SIGNIFICANT, _places(value, _SINGLE_SIGNIFICANT)))


def printed_share(share: float) -> float:
    """A probability or share that was computed in float32, as it is printed: four decimals."""
    return round(share, _SINGLE_DECIMALS)


def printed_number(value: float) -> float:
    """A number that was computed in float32, as it is printed: five significant digits."""
    return float(f"{value:.{_SINGLE_SIGNIFICANT}g}")


def printed(value: float) -> str:
    """The text of `printed_number`, without an exponent below 1e15."""
    return f"{printed_number(value):.15g}"


def _places(value: float, significant: int) -> int:
    """After the decimal point, for so many significant digits."""
    return significant - 1 - math.floor(math.log10(abs(value))) if value else 0


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
