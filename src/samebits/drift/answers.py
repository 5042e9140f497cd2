"""Statistics of a model's answers: the columns of `samebits predict` that hold one number or one class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from samebits.base.decimals import printed_number, printed_share
from samebits.drift.measure import Measure, number
from samebits.inference.calibration import Calibration
from samebits.signature.kind import Array, Column
from samebits.signature.target_kind import TargetKind

OOD_SCORE, UNLIKE = "ood_score", "unlike the training data"

_PRINTED: dict[Column, Callable[[float], float]] = {"share": printed_share, "number": printed_number}
"""In the digits of a file of answers: then it says the same as the answers themselves."""


def watched_columns(target: TargetKind, calibration: Calibration) -> dict[str, Column]:
    """The columns of answers that are compared, and what they hold; none where a sample has many answers."""
    if target.generates or target.per_position:
        return {}
    found = {name: kind for name, kind in target.columns().items() if kind != "text" or target.one_class}
    return found | ({OOD_SCORE: "share"} if calibration.ood_threshold is not None else {})


def cells_of(answers: Array, target: TargetKind, calibration: Calibration) -> dict[str, list[Any]]:
    """Answers [n, ...] as such columns."""
    names = list(target.columns())
    found = dict(zip(names, target.cells(answers), strict=True)) if len(answers) else {name: [] for name in names}
    scores = calibration.ood_scores(answers)
    return found | ({} if scores is None else {OOD_SCORE: scores.tolist()})


def measure_answers(
    cells: Mapping[str, Sequence[Any]],
    columns: Mapping[str, Column],
    labels: Sequence[str],
    threshold: float | None,
) -> dict[str, Measure]:
    """The statistics of answers, by name.

    Args:
        cells: of each column; None where there is none.
        columns: as of `watched_columns`.
        labels: names of the classes.
        threshold: `ood_score` above which a sample is called unlike the training data.
    """
    found: dict[str, Measure] = {}
    for name, kind in columns.items():
        if name not in cells:
            continue
        if kind == "text":
            places = {label: place for place, label in enumerate(labels)}
            codes = [places.get(str(cell), len(places)) for cell in cells[name]]
            found[name] = Measure(np.array(codes, dtype=np.int64), tuple(labels))
            continue
        digits = _PRINTED[kind]
        found[name] = number(np.array([np.nan if cell is None else digits(float(cell)) for cell in cells[name]]))
        if name == OOD_SCORE and threshold is not None:
            above = found[name].values > np.float32(threshold)
            found[UNLIKE] = Measure(above.astype(np.int64), ("no", "yes"))
    return found
