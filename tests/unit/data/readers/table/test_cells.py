"""Cells as numbers and dates."""

from __future__ import annotations

import math
from datetime import datetime

import pytest

from samebits.data.readers.table import cells


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("12", 12, 12),
        ("-1.5", -1.5, None),
        ("-1,5", None, -1.5),
        (".5", 0.5, None),
        ("1e-3", 0.001, 0.001),
        ("1,234", 1234, 1.234),
        ("1.234", 1.234, 1234),
        ("1,234.5", 1234.5, None),
        ("1.234,5", None, 1234.5),
        ("1 234 567", 1234567, 1234567),
        ("1\u202f234,5", None, 1234.5),
        ("1'234", 1234, 1234),
        ("-Inf", -math.inf, -math.inf),
        ("1_000", None, None),
        ("0x1F", None, None),
        ("١٢", None, None),
        ("12,34,567", None, None),
        ("12%", None, None),
        ("", None, None),
    ],
)
def test_numbers(text: str, point: float | None, comma: float | None) -> None:
    assert cells.number(text, ".") == point
    assert cells.number(text, ",") == comma


@pytest.mark.parametrize(
    ("text", "form", "date"),
    [
        ("2024-02-29", None, datetime(2024, 2, 29)),
        ("2023-02-29", None, None),
        ("2024/2/9 7:05", None, datetime(2024, 2, 9, 7, 5)),
        ("31.12.2025 23:59:58", None, datetime(2025, 12, 31, 23, 59, 58)),
        ("2024-01-01T00:30:00+02:00", None, datetime(2023, 12, 31, 22, 30)),
        ("2024-01-01T00:30:00.250Z", None, datetime(2024, 1, 1, 0, 30)),
        ("01/02/2024", None, None),
        ("01/02/2024", "%d/%m/%Y", datetime(2024, 2, 1)),
        ("2024-13-01", None, None),
        ("0000-01-01", None, None),
        ("20240101", None, None),
        ("x", "%Y", None),
    ],
)
def test_dates(text: str, form: str | None, date: datetime | None) -> None:
    assert cells.moment(text, form) == date


def test_parts_of_a_date() -> None:
    date = datetime(2025, 3, 2, 14, 5, 9)
    parts = {"year": 2025, "month": 3, "day": 2, "weekday": 6, "hour": 14, "minute": 5, "second": 9, "day_of_year": 61}
    assert {part: cells.date_part(date, part) for part in parts} == parts


def test_codes_and_doubtful_numbers() -> None:
    assert [cells.is_code(text) for text in ("007", "0", "0.5", "70")] == [True, False, False, False]
    assert [cells.is_ambiguous(text) for text in ("1,234", "1,23", "1,234,567")] == [True, False, False]
    assert [cells.boolean(text) for text in ("Yes", "FALSE", "maybe")] == [True, False, None]
