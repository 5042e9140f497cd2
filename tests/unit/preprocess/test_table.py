"""Rows as the model sees them: standardised, filled in, flagged; and the same through every exporter."""

from __future__ import annotations

import math

import pytest
import torch

from samebits.preprocess.table import build
from samebits.signature.table import CategoryColumn, NumberColumn, TableInputs

NAN = math.nan


def number(name: str, mean: float, std: float, fill: float, missing: bool = False) -> NumberColumn:
    return NumberColumn(name=name, mean=mean, std=std, fill=fill, missing=missing)


INPUTS = TableInputs(
    columns=[
        CategoryColumn(name="town", values=["Bonn", "Ulm"]),
        number("size", 100.0, 20.0, 90.0, missing=True),
        number("flat", 3.0, 0.0, 3.0),
    ]
)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([1.0, 120.0, 3.0], [1.0, 0.0, 0.0, 1.0]),
        ([0.0, NAN, NAN], [-0.5, 0.0, 1.0, 0.0]),
        ([3.0, 100.0, 5.0], [0.0, 2.0, 0.0, 0.0]),
        ([-1.0, 100.0, 3.0], [0.0, 0.0, 0.0, 0.0]),
        ([1.5, 100.0, 3.0], [0.0, 0.0, 0.0, 0.0]),
        ([NAN, 100.0, 3.0], [0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_a_row(row: list[float], expected: list[float]) -> None:
    """Numbers, then whether they are missing, then codes; a code that is none becomes 0."""
    found = build(INPUTS)(torch.tensor([row]))
    assert found.dtype == torch.float32
    assert found[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("kinds", ["numbers", "categories"])
def test_tables_of_one_kind(kinds: str) -> None:
    columns = [each for each in INPUTS.columns if (each.kind == "number") == (kinds == "numbers")]
    found = build(TableInputs(columns=columns))(torch.ones(4, len(columns)))
    assert found.shape == (4, 3 if kinds == "numbers" else 1)


def test_large_numbers_keep_their_digits() -> None:
    """Subtracting the mean first: 1e9 + 64 is one float32 above 1e9."""
    inputs = TableInputs(columns=[number("stamp", 1e9, 64.0, 1e9)])
    assert build(inputs)(torch.tensor([[1e9 + 64]])).item() == 1.0


def test_it_has_no_weights() -> None:
    module = build(INPUTS)
    assert not module.state_dict()
    assert not list(module.parameters())
