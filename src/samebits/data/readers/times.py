"""Times of samples, one cell each, for `data.split: time`: dates, or numbers that rise with time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.data.readers import cells


def no_time(cell: str) -> str | None:
    """Why a cell says no time; None where it does."""
    if not cell.strip():
        return "it has no time"
    if _read(cell) is None:
        return f"its time is {cell[:40]!r}, neither a date such as 2025-12-31 nor a number"
    return None


def read_times(found: Sequence[str | None], key: str) -> npt.NDArray[np.float64] | None:
    """Times of all samples that sort as they followed each other: float64 [n], seconds since 1970 where they are dates.

    Args:
        found: cells of which `no_time` finds none wanting; None where the source has no times.
        key: where the user says what a time is, for the message.

    Returns:
        None unless every sample has one.

    Raises:
        UserError: for dates among numbers, which cannot be sorted.
    """
    texts = [text for text in found if text is not None]
    if not texts or len(texts) < len(found):
        return None
    read = [_read(text) for text in texts]
    dates = [text for text, each in zip(texts, read, strict=True) if each is not None and each[0]]
    if dates and len(dates) < len(texts):
        number = next(text for text, each in zip(texts, read, strict=True) if each is not None and not each[0])
        raise UserError(
            f"times are dates, such as {dates[0].strip()!r}, and numbers, such as {number.strip()!r}",
            f"write all of one kind ({key})",
        )
    return np.array([math.nan if each is None else each[1] for each in read])


def _read(cell: str) -> tuple[bool, float] | None:
    """Whether it is a date, and its place in time; None for what is neither a date nor a finite number."""
    text = cell.strip()
    date = cells.moment(text)
    if date is not None:
        return True, cells.seconds_of(date)
    value = cells.number(text)
    return None if value is None or not math.isfinite(value) else (False, value)
