"""Metrics as they are written and shown: small ones keep their digits, and what is no number is null."""

from __future__ import annotations

import math

import pytest

from samebits.base.decimals import rounded, rounded_single, shown


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.99637123456, 0.996371),
        (0.0123456789, 0.012346),
        (20_270.123456789, 20_270.12346),
        (123_456_789_012.345, 123_456_789_012.0),
        (5.51234567e-9, 5.512e-9),
        (-7.4e-9, -7.4e-9),
        (0.00012345678, 0.0001235),
        (1e-300, 1e-300),
        (0.0, 0.0),
        (None, None),
        (math.nan, None),
        (-math.inf, None),
    ],
)
def test_written(value: float | None, written: float | None) -> None:
    assert rounded(value) == written


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.98765, "0.9877"), (0.0, "0.0000"), (5.51234e-9, "5.512e-09"), (-0.00012, "-0.00012"), (None, "undefined")],
)
def test_shown(value: float | None, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("value", "written"), [(0.943214999, 0.94321), (523.456789, 523.46), (-0.0012345678, -0.00123), (0.0, 0.0)]
)
def test_written_of_float32(value: float, written: float) -> None:
    assert rounded_single(value) == written
    assert rounded_single(math.nan) is None
