"""The report on a classifier."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from samebits.evaluation.baseline import Baseline
from samebits.evaluation.report.charts import Line, line_chart
from samebits.evaluation.report.curves import Curve
from samebits.evaluation.report.numbers import number_cards
from samebits.evaluation.report.page import data_url, render
from samebits.metrics.classification import ClassScores, Metrics, Predictions

if TYPE_CHECKING:
    from samebits.evaluation.preview import Shown

_TABLE_UP_TO = 40  # classes; a larger confusion matrix is a picture, not a table
_PAIRS = 8
_LETTERS = 24  # of a class's name in the heads of the confusion table
_DOTS_UP_TO = 60  # points of a curve; more would be a thick line


@dataclass(frozen=True)
class Mistake:
    """A wrong prediction, for the gallery.

    Attributes:
        index: in the test split.
        source: the file or row it was.
        shown: the sample.
        probability: what the model gave the true class.
    """

    index: int
    source: str
    shown: Shown
    true: str
    predicted: str
    confidence: float
    probability: float


def render_report(
    metrics: Metrics,
    baseline: Baseline,
    predictions: Predictions,
    *,
    classes: Sequence[str],
    curves: Sequence[Curve],
    mistakes: Sequence[Mistake],
    facts: Sequence[tuple[str, Sequence[tuple[str, str]]]],
    title: str,
    confidence: float,
    resamples: int,
    confusion_png: bytes,
) -> str:
    """The page; a function of its arguments alone.

    Args:
        facts: tables of (name, value) under a heading each.
        confidence: level of the intervals.
        confusion_png: shown in place of the table when there are many classes.
    """
    wrong = int((~predictions.correct).sum())
    return render(
        "classification.html.j2",
        title=title,
        samples=len(predictions),
        wrong=wrong,
        baseline=baseline.answer,
        numbers=number_cards(metrics, baseline),
        level=f"{confidence:.0%}" if (confidence * 100).is_integer() else f"{confidence:.1%}",
        resamples=resamples,
        classes=classes,
        confusion=_confusion(metrics) if len(classes) <= _TABLE_UP_TO else None,
        confusion_png=data_url(confusion_png),
        pairs=_confused_pairs(metrics, classes),
        class_count=len(classes),
        longest=min(max(map(len, classes)), _LETTERS),
        per_class=[
            {
                "name": name,
                "support": f"{score.support:,}",
                "precision": _share(score.precision),
                "recall": _share(score.recall),
                "f1": _share(score.f1),
                "bar": f"{100 * (score.f1 or 0.0):.2f}",
            }
            for name, score in _shown_classes(metrics, classes)
        ],
        calibration=_calibration_chart(metrics),
        curves=curve_charts(curves),
        mistakes=[
            {
                "image": data_url(image_png(each.shown.image)) if each.shown.image is not None else "",
                "text": each.shown.text,
                "place": f"test sample {each.index}, {each.source}",
                "true": each.true,
                "predicted": each.predicted,
                "confidence": f"{each.confidence:.1%}",
                "probability": f"{each.probability:.1%}",
            }
            for each in mistakes
        ],
        facts=facts,
    )


def _shown_classes(metrics: Metrics, classes: Sequence[str]) -> list[tuple[str, ClassScores]]:
    """All classes in their order, or the 40 of more that have the lowest F1, those with most samples first."""
    scored = list(zip(classes, metrics.per_class, strict=True))
    if len(scored) <= _TABLE_UP_TO:
        return scored
    return sorted(scored, key=_by_f1)[:_TABLE_UP_TO]


def _by_f1(named: tuple[str, ClassScores]) -> tuple[float, int]:
    score = named[1]
    return (math.inf if score.f1 is None else score.f1, -score.support)


def image_png(image: npt.NDArray[np.uint8]) -> bytes:
    """uint8 [C, H, W] as PNG, pixel for pixel; more than 3 channels: the first 3, 2 channels: the first."""
    from PIL import Image

    pixels = image[:3].transpose(1, 2, 0) if len(image) >= 3 else image[0]
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def _confusion(metrics: Metrics) -> list[list[dict[str, Any]]]:
    total = np.maximum(metrics.confusion.sum(axis=1), 1)
    return [
        [
            {"count": int(count), "share": f"{(count / total[row]) ** 0.5:.3f}", "hit": row == column}
            for column, count in enumerate(counts)
        ]
        for row, counts in enumerate(metrics.confusion)
    ]


def _confused_pairs(metrics: Metrics, classes: Sequence[str]) -> list[dict[str, Any]]:
    off = metrics.confusion.copy()
    np.fill_diagonal(off, 0)
    rows, columns = np.nonzero(off)
    counts = off[rows, columns]
    return [
        {"true": classes[rows[k]], "predicted": classes[columns[k]], "count": int(counts[k])}
        for k in np.argsort(-counts, kind="stable")[:_PAIRS]
    ]


def _calibration_chart(metrics: Metrics) -> str:
    points, dots = [], []
    for entry in metrics.bins:
        if entry.confidence is not None and entry.accuracy is not None:
            points.append((entry.confidence, entry.accuracy))
            text = f"confidence {entry.confidence:.1%}, accuracy {entry.accuracy:.1%}, {entry.count:,} samples"
            # The area of a dot says how much its bin weighs; a lone sample must not look like evidence.
            dots.append((text, 1.5 + 1.3 * math.log10(entry.count)))
    return line_chart(
        [
            Line("perfectly calibrated", "ideal", [(0.0, 0.0), (1.0, 1.0)]),
            Line("accuracy at this confidence", "first", points, dots),
        ],
        x_label="confidence",
        y_label="accuracy by confidence",
        x_range=(0.0, 1.0),
        y_range=(0.0, 1.0),
    )


def curve_charts(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    charts = []
    last = max((step for curve in curves for step in curve.steps), default=1)
    for group in dict.fromkeys(curve.group for curve in curves):
        members = sorted((curve for curve in curves if curve.group == group), key=lambda curve: curve.name)
        styles = ["first" if curve.name.startswith("train/") else "second" for curve in members]
        lines = [_curve_line(curve, style) for curve, style in zip(members, styles, strict=True)]
        drawn = line_chart(lines, x_label="step", y_label=group, x_range=(0.0, float(max(last, 1))))
        charts.append({"title": group, "svg": drawn, "lines": [(line.label, line.style) for line in lines]})
    return charts


def _curve_line(curve: Curve, style: str) -> Line:
    points = list(zip(map(float, curve.steps), curve.values, strict=True))
    few = len(points) <= _DOTS_UP_TO
    dots = [(f"{curve.name} {value:.4g} at step {step:,.0f}", 3.0) for step, value in points] if few else []
    return Line(curve.name, style, points, dots)
