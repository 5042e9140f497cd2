"""Training curves as `train` wrote them: `reports/train/curves.csv`."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from samebits.base.errors import UserError

_AXES = ("step", "epoch")


@dataclass(frozen=True)
class Curve:
    """One metric over the steps of training.

    Attributes:
        name: column of the file, such as `val/loss`.
        steps: where it was measured.
        values: as many.
    """

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def group(self) -> str:
        """What it measures, shared by training and validation: `loss` of `val/loss`."""
        return self.name.rpartition("/")[2]


def read_curves(path: Path) -> list[Curve]:
    """Curves of losses and accuracies, in the order of the columns; empty cells and empty columns are left out.

    Raises:
        UserError: if the file is missing, or a cell is no number.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist", "run the stage that makes it: dvc repro train") from None
    names = [name for name in (rows[0] if rows else {}) if name not in _AXES]
    curves = []
    for name in names:
        try:
            points = [(int(float(row["step"])), float(row[name])) for row in rows if row[name]]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: column {name}: {error}", "run dvc repro train again") from None
        if points and not name.endswith("/lr"):
            curves.append(Curve(name, *(tuple(column) for column in zip(*points, strict=True))))
    return curves
