"""Whether `samebits predict` prints what `evaluate` wrote, in each digit that it prints."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from samebits.base.decimals import printed
from samebits.base.paths import Project
from samebits.cli.main import main

_NOISE = 2e-6
"""Of float32, and of the six digits that `evaluate` writes, as a share of the number or of 1."""


def evaluated(project: Project) -> list[dict[str, str]]:
    """The rows of predictions.csv."""
    with (project.reports / "evaluation" / "report" / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def predicted(project: Project, capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, str]]:
    """The rows that the command prints."""
    capsys.readouterr()
    command = ["predict", "--model", str(project.exported / "model.onnx"), "--format", "csv"]
    assert main([*command, *map(str, arguments)]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def same_share(told: str, wrote: str) -> bool:
    """Of a probability."""
    return told in _around(float(wrote), 1.0, lambda value: f"{value:.4f}")


def same_number(told: str, wrote: str) -> bool:
    """Of a number in the unit of the data."""
    value = float(wrote)
    return told in _around(value, max(abs(value), 1.0), printed)


def _around(value: float, unit: float, show: Callable[[float], str]) -> set[Any]:
    """The texts of a number that is this one but for noise: one, unless a boundary between two lies in it."""
    return {show(value + shift * _NOISE * unit) for shift in (-1, 0, 1)}


def line_of(row: dict[str, str]) -> int:
    """Of a test sample, the line of the table that it came from: its id ends in the number of its row."""
    return int(row["id"].rpartition("/")[2])
