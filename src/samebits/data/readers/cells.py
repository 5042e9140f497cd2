"""Cells of a table as numbers and dates: what is one and what it is worth, for training and for `samebits predict`.

Needs nothing but the standard library, so that an exported model can be fed without torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal

Decimal = Literal[".", ","]

_LONGEST = 1000
"""Characters of a number or a date. Patterns take time with the square of the length of what is none."""

# Python's own float() takes 1_000, infinity and Arabic digits, too: a cell with one of those is a typing error.
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?(?:\d+,?\d*|,\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_GROUPED = {
    ".": re.compile(r"[+-]?[1-9]\d{0,2}(?:([, '\u00a0\u202f\u2019])\d{3})(?:\1\d{3})*(?:\.\d*)?"),
    ",": re.compile(r"[+-]?[1-9]\d{0,2}(?:([. '\u00a0\u202f\u2019])\d{3})(?:\1\d{3})*(?:,\d*)?"),
}
_NUMERAL = {mark: re.compile(rf"([+-]?)(\d*)(?:[{mark}](\d*))?", re.ASCII) for mark in ".,"}
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
_TRUTH = {"true", "false"}
_GROUP_MARKS = " '\u00a0\u202f\u2019"
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_DATE = re.compile(
    r"(?:(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})|(?P<d2>\d{1,2})\.(?P<m2>\d{1,2})\.(?P<y2>\d{4}))"
    r"(?:[T ](?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,]\d+)?)?\s?(?P<zone>Z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1)
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False}

_FORMATS = (
    *("%b %d %Y", "%d %b %Y", "%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%d/%m/%Y", "%m/%d/%Y"),
    *("%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d"),
)

DATE_PARTS_OF_DAY = ("hour", "minute", "second")


def number(text: str, decimal: Decimal = ".") -> float | None:
    """A cell as a number, or None if it is none. Infinity is one (and is refused later); thousands may be grouped."""
    if len(text) > _LONGEST:
        return None
    if _PLAIN.fullmatch(text) if decimal == "." else _COMMA.fullmatch(text):
        return float(text.replace(",", "."))
    if _GROUPED[decimal].fullmatch(text):
        digits = text
        for mark in (*_GROUP_MARKS, "," if decimal == "." else "."):
            digits = digits.replace(mark, "")
        return float(digits.replace(",", "."))
    return math.copysign(math.inf, -1 if text.startswith("-") else 1) if _INFINITE.fullmatch(text) else None


def is_ambiguous(text: str) -> bool:
    """Whether a cell is another number with another decimal mark: `1,234`, `1.234`."""
    return bool(_EITHER.fullmatch(text))


def is_grouped(text: str, decimal: Decimal) -> bool:
    """Whether thousands are grouped in a number."""
    return len(text) <= _LONGEST and bool(_GROUPED[decimal].fullmatch(text))


def one_text(text: str, decimal: Decimal = ".") -> str:
    """One text for all ways to write a value: `true` for `True`, `3` for `3.0` and `+3`; codes (`007`) and words stay.

    So a category is the same from CSV, from pandas' CSV, from Parquet and typed by hand.
    """
    if text.lower() in _TRUTH:
        return text.lower()
    match = _NUMERAL[decimal].fullmatch(text) if len(text) <= _LONGEST else None
    if match is None or not (match[2] or match[3]) or is_code(match[2]):
        return text
    whole, part = match[2] or "0", (match[3] or "").rstrip("0")
    sign = "-" if match[1] == "-" and (part or whole != "0") else ""
    return f"{sign}{whole}.{part}" if part else f"{sign}{whole}"


def are_values(texts: Iterable[str], decimal: Decimal = ".") -> bool:
    """Whether all are numbers, or all truth values, so that `one_text` may join them: as names, `1.10` is not `1.1`."""
    known = {one_text(text, decimal) for text in texts}
    return known <= _TRUTH or all(_NUMERAL["."].fullmatch(text) and not is_code(text) for text in known)


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
    if len(text) > _LONGEST:
        return None
    if form is not None:
        try:
            return _without_zone(datetime.strptime(text, form))
        except (ValueError, OverflowError):
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


def as_moment(value: object) -> datetime | None:
    """A Parquet date or time as `moment` gives it; None for what is none."""
    if isinstance(value, datetime):
        return _without_zone(value)
    return datetime(value.year, value.month, value.day) if isinstance(value, date) else None


def formats_of(texts: Sequence[str]) -> list[str]:
    """Usual formats in which nine of ten texts are dates, with or without a time of day."""
    some = texts[:1000]
    tried = [f"{form}{time}" for form in _FORMATS for time in ("", " %H:%M", " %H:%M:%S")]
    return [each for each in tried if sum(moment(text, each) is not None for text in some) >= 0.9 * len(some)]


def seconds_of(moment: datetime) -> int:
    """Seconds since 1970, whatever the machine's time zone."""
    return round((moment - _EPOCH).total_seconds())


def moment_of(seconds: int) -> datetime:
    """The date of so many seconds since 1970."""
    return _EPOCH + timedelta(seconds=seconds)


def date_part(moment: datetime, part: str) -> float:
    """One part of a date, one of `samebits.signature.signature.DATE_PARTS`, as a number."""
    if part == "weekday":
        return float(moment.weekday())
    if part == "day_of_year":
        return float(moment.timetuple().tm_yday)
    return float(getattr(moment, part))


def boolean(text: str) -> bool | None:
    """`true`, `yes`, `false` or `no` in any case, or None."""
    return _BOOLEANS.get(text.lower())


def _without_zone(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
