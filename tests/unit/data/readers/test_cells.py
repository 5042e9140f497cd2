"""Cells as numbers and dates."""

from __future__ import annotations

import math
from datetime import datetime

import pytest

from samebits.data.readers import cells


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
        ("0.125", 0.125, None),
        ("0,125", None, 0.125),
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


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("True", "true", "true"),
        ("3.0", "3", "3.0"),
        ("3,50", "3,50", "3.5"),
        ("+3", "3", "3"),
        ("-0.0", "0", "-0.0"),
        ("-.5", "-0.5", "-.5"),
        ("007", "007", "007"),
        ("007.0", "007.0", "007.0"),
        ("12345678901234567890.0", "12345678901234567890", "12345678901234567890.0"),
        ("Yes", "Yes", "Yes"),
        ("1.2.3", "1.2.3", "1.2.3"),
        (".", ".", "."),
        ("", "", ""),
    ],
)
def test_one_text_for_a_value(text: str, point: str, comma: str) -> None:
    assert cells.one_text(text, ".") == point
    assert cells.one_text(text, ",") == comma


def test_names_are_no_values() -> None:
    assert [cells.are_values(each) for each in (["1", "2.50"], ["True", "false"], ["1.10", "1.1a"], ["01", "2"])] == [
        *(True, True, False, False)
    ]


def test_formats_of_dates_are_found() -> None:
    assert cells.formats_of(["Apr 01 1965", "Dec 31 2001"] * 9) == ["%b %d %Y"]
    assert cells.formats_of(["01/02/2024", "03/04/2024"]) == ["%d/%m/%Y", "%m/%d/%Y"]
    assert cells.formats_of(["31/12/2024 10:30"]) == ["%d/%m/%Y %H:%M"]
    assert cells.formats_of(["a", "b"]) == []
