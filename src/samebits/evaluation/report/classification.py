"""The report on a classifier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from samebits.evaluation.baseline import Baseline
from samebits.evaluation.report.figures import Uncalibrated
from samebits.evaluation.report.numbers import number_cards
from samebits.evaluation.report.page import data_url, render
from samebits.evaluation.sample_image import image_png
from samebits.metrics.classification import ClassScores, Metrics, Predictions

if TYPE_CHECKING:
    from samebits.signature.kind import Preview

_TABLE_UP_TO = 40  # classes; a larger confusion matrix is a picture, not a table
_PAIRS = 8
_LETTERS = 24  # of a class's name in the heads of the confusion table


@dataclass(frozen=True)
class Misclassification:
    """A wrong prediction, for the gallery.

    Attributes:
        index: in the test split.
        source: the file or row it was.
        preview: the sample.
        probability: what the model gave the true class.
    """

    index: int
    source: str
    preview: Preview
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
    mistakes: Sequence[Misclassification],
    details: Sequence[tuple[str, Sequence[tuple[str, str]]]],
    title: str,
    confidence: float,
    resamples: int,
    pictures: Mapping[str, bytes],
    before: Uncalibrated | None = None,
) -> str:
    """The page; a function of its arguments alone.

    Args:
        details: tables of (name, value) under a heading each.
        confidence: level of the intervals.
        pictures: `calibration.png`, `curves.png` and `confusion.png`: that in place of the table when there are many
            classes.
        before: without the temperature.
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
        confusion_png=data_url(pictures["confusion.png"]),
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
        calibration=data_url(pictures["calibration.png"]),
        uncalibrated=before.shown if before else "",
        curves=data_url(pictures.get("curves.png")),
        mistakes=[
            {
                "image": data_url(image_png(each.preview.image)) if each.preview.image is not None else "",
                "text": each.preview.text,
                "place": f"test sample {each.index}, {each.source}",
                "true": each.true,
                "predicted": each.predicted,
                "confidence": f"{each.confidence:.1%}",
                "probability": f"{each.probability:.1%}",
            }
            for each in mistakes
        ],
        details=details,
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


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def _confusion(metrics: Metrics) -> list[list[dict[str, Any]]]:
    total = np.maximum(metrics.confusion.support, 1)
    return [
        [
            {"count": int(count), "share": f"{(count / total[row]) ** 0.5:.3f}", "hit": row == column}
            for column, count in enumerate(counts)
        ]
        for row, counts in enumerate(metrics.confusion.among(np.arange(metrics.confusion.classes)))
    ]


def _confused_pairs(metrics: Metrics, classes: Sequence[str]) -> list[dict[str, Any]]:
    found = metrics.confusion
    wrong = np.flatnonzero(found.true != found.predicted)
    return [
        {"true": classes[found.true[k]], "predicted": classes[found.predicted[k]], "count": int(found.counts[k])}
        for k in wrong[np.argsort(-found.counts[wrong], kind="stable")][:_PAIRS]
    ]
