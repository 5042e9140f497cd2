"""What a model gets wrong near a sample: of the mistakes that the evaluation found, those whose answers are nearest; of
texts with tags, those with the most in common."""

from __future__ import annotations

import csv
import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.data.loading.prepared import open_split, read_info
from samebits.demo.form import Form
from samebits.demo.pictures import png_url
from samebits.signature.image import displayed
from samebits.signature.kind import Array, Floats, Preview
from samebits.signature.mask import IGNORED, MaskTarget
from samebits.signature.target_kind import TargetKind

_CANDIDATES = 300
"""Mistakes that are compared: those with the highest confidence, or the largest errors."""
_SHARE = 10
"""Of numbers and masks, which are never quite right, one in so many counts as a mistake: those furthest off."""
_GRID = 4
"""Masks are compared by mean probabilities in so many by so many parts: single pixels of two images say little."""

Point = Floats | frozenset[int]
"""Where a sample lies: numbers, or the tokens of its text."""


@dataclass(frozen=True)
class Mistakes:
    """Test samples that the model gets wrong.

    Attributes:
        points: as of `point_of`.
        previews: the samples.
        true: for people; empty of masks and tags, where `said` says what is wrong.
        said: likewise.
        masks: where the answer is one, what the model said and what is right, uint8 [H, W].
    """

    target: TargetKind
    points: Sequence[Point]
    previews: Sequence[Preview]
    true: Sequence[str]
    said: Sequence[str]
    masks: Sequence[tuple[Array, Array]] = ()

    def __len__(self) -> int:
        return len(self.points)

    def nearest(self, point: Point, count: int = 6) -> list[dict[str, Any]]:
        """Those that are nearest to a point: by the Euclidean distance; of texts, by the share of common tokens."""
        order = sorted(range(len(self)), key=lambda k: _apart(self.points[k], point))
        return [self._told(k) for k in order[:count]]

    def _told(self, k: int) -> dict[str, Any]:
        preview = self.previews[k]
        picture = None if preview.image is None else png_url(preview.image)
        right = None
        if isinstance(self.target, MaskTarget) and preview.image is not None:
            image = displayed(preview.image)
            picture, right = (png_url(self.target.overlay(image, mask)) for mask in self.masks[k])
        return {
            "picture": picture,
            "right": right,
            "text": preview.text,
            "true": self.true[k],
            "said": self.said[k],
            "alone": self.target.per_position,
        }


def point_of(form: Form, answer: Floats | None, sample: Any) -> Point:
    """Where a sample lies, by the model's answer: probabilities, or numbers in standard deviations of the target; of
    masks on a grid. Of tags the tokens of the text count: a word's answer alone is near nothing.

    Args:
        answer: of the model; None of tags.
        sample: as the model takes it; of tags the text.
    """
    target = form.kind.target
    if target.per_position:
        return _tokens(form.kind.rows([sample]), form)
    assert answer is not None
    if isinstance(target, MaskTarget):
        return _on_grid(answer)
    found: Floats = np.ravel(answer / target.unit)
    return found


def _tokens(rows: Array, form: Form) -> frozenset[int]:
    return frozenset(np.unique(rows).tolist()) - {form.kind.inputs.get("pad") or 0}


def _on_grid(answer: Floats) -> Floats:
    parts = [np.array_split(rows, _GRID, axis=2) for rows in np.array_split(answer, _GRID, axis=1)]
    found: Floats = np.concatenate([part.mean(axis=(1, 2)) for row in parts for part in row if part.size])
    return found


def _apart(first: Point, second: Point) -> float:
    if isinstance(first, frozenset):
        assert isinstance(second, frozenset)
        return 1.0 - len(first & second) / max(1, len(first | second))
    assert not isinstance(second, frozenset)
    return float(((first.astype(np.float64) - second) ** 2).sum())


def find_mistakes(model: Path, form: Form) -> Mistakes | None:
    """Of the project that a model lies in (`models/export/model.onnx`); None where the report or the prepared data are
    not there, are of another model, or hold no mistake.

    The report says which test samples were wrong. The model answers them again, so a sample counts only if this very
    file is wrong about it.
    """
    target = form.kind.target
    if target.per_position and form.widget != "text":  # the steps of a series are no tokens
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
            wrong = [(size, int(row["index"])) for row in rows if (size := _size(row)) is not None]
            never_right = {"residual", "iou"} & {*(rows.fieldnames or ())}
            count = math.ceil(len(wrong) / _SHARE) if never_right else len(wrong)
            return sorted({index for _, index in heapq.nlargest(min(count, _CANDIDATES), wrong)})
    except (OSError, KeyError, ValueError):
        return []


def _size(row: dict[str, str]) -> float | None:
    """Of a mistake: how far a number or a mask is off, how many tags are wrong, or how sure of a class the model was;
    None where there is none."""
    if share := row.get("iou") or row.get("accuracy"):
        return 1.0 - float(share) if float(share) < 1.0 else None
    if row["actual"] == row["predicted"]:
        return None
    return abs(float(row.get("residual") or row.get("confidence") or 0.0))


def _asked(prepared: Path, form: Form, wanted: Sequence[int]) -> Mistakes | None:
    kind, target = form.kind, form.kind.target
    info = read_info(prepared)
    inputs = info.signature.inputs
    if info.signature.target.kind != target.kind or info.classes != target.labels:
        return None
    split = open_split(prepared, "test", in_memory=False)
    points: list[Point] = []
    previews: list[Preview] = []
    true: list[str] = []
    said: list[str] = []
    masks: list[tuple[Array, Array]] = []
    # A batch at a time: the answers of masks are many times as large as the samples.
    for start in range(0, len(wanted), kind.batch):
        places = np.array(wanted[start : start + kind.batch], dtype=np.int64)
        samples, targets = split.samples(places)
        answers = kind.session.answers(samples.astype(inputs.served_dtype), target)
        doubts, texts = target.doubts(answers, targets)
        if isinstance(target, MaskTarget):
            wrong = _wrong_pixels(target.judged(answers), targets)
            texts, kept = [f"{share:.1%} of the pixels are wrong" for share in wrong], np.flatnonzero(wrong)
            masks += [(target.judged(answers[k : k + 1])[0], targets[k]) for k in kept]
        else:
            kept = np.flatnonzero(doubts > 0.5) if target.labels else np.arange(len(places))
        points += [_tokens(samples[k], form) if target.per_position else point_of(form, answers[k], None) for k in kept]
        previews += inputs.previews(split.rows(places[kept]), form.decode)
        true += [target.label_text(targets[k], target.labels) for k in kept]
        said += [texts[k] for k in kept]
    return Mistakes(target, points, previews, true, said, masks) if points else None


def _wrong_pixels(said: Array, true: Array) -> npt.NDArray[np.float64]:
    """The share of the pixels that count, of masks [n, H, W]."""
    counts = true != IGNORED
    found: npt.NDArray[np.float64] = ((said != true) & counts).sum(axis=(1, 2)) / np.maximum(1, counts.sum(axis=(1, 2)))
    return found
