"""Cells of a table as numbers and dates: what is one and what it is worth, for training and for `samebits predict`.

Needs nothing but the standard library, so that an exported model can be fed without torch.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Literal

Decimal = Literal[".", ","]

# Python's own float() takes 1_000, infinity and Arabic digits, too: a cell with one of those is a typing error.
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?(?:\d+,?\d*|,\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_GROUPED = {
    ".": re.compile(r"[+-]?\d{1,3}(?:([, '\u00a0\u202f\u2019])\d{3})(?:\1\d{3})*(?:\.\d*)?"),
    ",": re.compile(r"[+-]?\d{1,3}(?:([. '\u00a0\u202f\u2019])\d{3})(?:\1\d{3})*(?:,\d*)?"),
}
_GROUP_MARKS = " '\u00a0\u202f\u2019"
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_DATE = re.compile(
    r"(?:(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})|(?P<d2>\d{1,2})\.(?P<m2>\d{1,2})\.(?P<y2>\d{4}))"
    r"(?:[T ](?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,]\d+)?)?\s?(?P<zone>Z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1)
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False}

DATE_PARTS_OF_DAY = ("hour", "minute", "second")


def number(text: str, decimal: Decimal = ".") -> float | None:
    """A cell as a number, or None if it is none. Infinity is one (and is refused later); thousands may be grouped."""
    if _PLAIN.fullmatch(text) if decimal == "." else _COMMA.fullmatch(text):
        return float(text.replace(",", "."))
    if _GROUPED[decimal].fullmatch(text):
        digits = text
        for mark in (*_GROUP_MARKS, "," if decimal == "." else "."):
            digits = digits.replace(mark, "")
        return float(digits.replace(",", "."))
    return math.copysign(math.inf, -1 if text.startswith("-") else 1) if _INFINITE.fullmatch(text) else None


def is_ambiguous(text: str) -> bool:
    """Whether a cell is another number with another decimal mark: `1,234`."""
    return bool(re.fullmatch(r"[+-]?\d{1,3},\d{3}", text))


def is_code(text: str) -> bool:
    """Whether digits are a code, not a number: `00501`."""
    return len(text) > 1 and text[0] == "0" and text.isdecimal()


def moment(text: str, form: str | None = None) -> datetime | None:
    """A cell as a date, or None if it is none.

    Args:
        form: a strptime format; None takes `2025-12-31`, `2025/12/31` and `31.12.2025`, with or without a time of day.

    Returns:
        without a time zone: a time with one is converted to UTC.
    """
    if form is not None:
        try:
            return _without_zone(datetime.strptime(text, form))
        except ValueError:
            return None
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    part = match.groupdict()
    day = (part["y"] or part["y2"], part["m"] or part["m2"], part["d"] or part["d2"])
    try:
        found = datetime(*(int(each) for each in day), *(int(part[each] or 0) for each in "HMS"))  # type: ignore[arg-type]
        if part["zone"]:
            offset = datetime.strptime(part["zone"].replace("Z", "+0000").replace(":", ""), "%z").tzinfo
            return _without_zone(found.replace(tzinfo=offset))
    except (ValueError, OverflowError):
        return None
    return found


def seconds_of(date: datetime) -> int:
    """Seconds since 1970, whatever the machine's time zone."""
    return round((date - _EPOCH).total_seconds())


def moment_of(seconds: int) -> datetime:
    """The date of so many seconds since 1970."""
    return _EPOCH + timedelta(seconds=seconds)


def date_part(date: datetime, part: str) -> float:
    """One part of a date, one of `samebits.signature.signature.DATE_PARTS`, as a number."""
    if part == "weekday":
        return float(date.weekday())
    if part == "day_of_year":
        return float(date.timetuple().tm_yday)
    return float(getattr(date, part))


def boolean(text: str) -> bool | None:
    """`true`, `yes`, `false` or `no` in any case, or None."""
    return _BOOLEANS.get(text.lower())


def _without_zone(date: datetime) -> datetime:
    return date if date.tzinfo is None else date.astimezone(UTC).replace(tzinfo=None)
