"""What a model gets wrong near a sample: of the mistakes that the evaluation found, those whose answers are nearest."""

from __future__ import annotations

import csv
import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from samebits.base.errors import UserError
from samebits.data.loading.prepared import open_split, read_info
from samebits.demo.form import Form
from samebits.demo.pictures import png_url
from samebits.signature.kind import Floats, Preview
from samebits.signature.target_kind import TargetKind

_CANDIDATES = 300
"""Mistakes that are compared: those with the highest confidence, or the largest errors."""
_SHARE = 10
"""Of numbers, which are never quite right, one in so many counts as a mistake: those with the largest errors."""


@dataclass(frozen=True)
class Mistakes:
    """Test samples that the model gets wrong.

    Attributes:
        answers: of the model, [n, ...].
        previews: the samples.
        true: for people.
        said: likewise.
    """

    target: TargetKind
    answers: Floats
    previews: Sequence[Preview]
    true: Sequence[str]
    said: Sequence[str]

    def __len__(self) -> int:
        return len(self.answers)

    def nearest(self, answer: Floats, count: int = 6) -> list[dict[str, Any]]:
        """Those with the smallest Euclidean distance between their answer and this one: between probabilities, or
        between numbers in standard deviations of the target."""
        apart = ((self.answers - answer) / self.target.unit).reshape(len(self), -1)
        order = np.argsort((apart.astype(np.float64) ** 2).sum(axis=1), kind="stable")[:count]
        return [self._told(k) for k in order.tolist()]

    def _told(self, k: int) -> dict[str, Any]:
        preview = self.previews[k]
        picture = None if preview.image is None else png_url(preview.image)
        return {"picture": picture, "text": preview.text, "true": self.true[k], "said": self.said[k]}


def find_mistakes(model: Path, form: Form) -> Mistakes | None:
    """Of the project that a model lies in (`models/export/model.onnx`); None where the report or the prepared data are
    not there, are of another model, or hold no mistake.

    The report says which test samples were wrong. The model answers them again, so a sample counts only if this very
    file is wrong about it.
    """
    target = form.kind.target
    if len(target.answer_shape) > 1 or target.per_position:  # no two answers are near each other as a whole
        return None
    if not model.is_file() or len(model.resolve().parents) < 3:  # of a registry, or in no project
        return None
    project = model.resolve().parents[2]
    wanted = _worst(project / "reports" / "evaluation" / "report" / "predictions.csv")
    if not wanted:
        return None
    try:
        return _asked(project / "data" / "prepared", form, wanted)
    except (UserError, IndexError, ValueError):  # of another data set
        return None


def _worst(predictions: Path) -> list[int]:
    """Places in the test split, rising."""
    try:
        with predictions.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            wrong = [(_size(row), int(row["index"])) for row in rows if row["actual"] != row["predicted"]]
            numbers = "residual" in (rows.fieldnames or ())
            count = math.ceil(len(wrong) / _SHARE) if numbers else len(wrong)
            return sorted({index for _, index in heapq.nlargest(min(count, _CANDIDATES), wrong)})
    except (OSError, KeyError, ValueError):
        return []


def _size(row: dict[str, str]) -> float:
    """Of a mistake: how far a number is off, or how sure of a class the model was."""
    return abs(float(row.get("residual") or row.get("confidence") or 0.0))


def _asked(prepared: Path, form: Form, wanted: Sequence[int]) -> Mistakes | None:
    kind, target = form.kind, form.kind.target
    info = read_info(prepared)
    inputs = info.signature.inputs
    if info.signature.target.kind != target.kind or info.classes != target.labels:
        return None
    split = open_split(prepared, "test", in_memory=False)
    places = np.array(wanted, dtype=np.int64)
    samples, targets = split.samples(places)
    samples = samples.astype(inputs.served_dtype)
    parts = [kind.given(samples[k : k + kind.batch])[0] for k in range(0, len(samples), kind.batch)]
    answers = np.stack([each for part in parts for each in part])
    doubts, said = target.doubts(answers, targets)
    kept = np.flatnonzero(doubts > 0.5) if target.labels else np.arange(len(places))
    if not len(kept):
        return None
    return Mistakes(
        target,
        answers[kept],
        inputs.previews(split.rows(places[kept]), form.decode),
        [target.label_text(targets[k], target.labels) for k in kept],
        [said[k] for k in kept],
    )
