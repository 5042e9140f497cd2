"""Judging a classifier: accuracy and its kin with intervals, confusion, calibration, the most confident mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from samebits.base.decimals import rounded
from samebits.base.files import csv_bytes
from samebits.evaluation.baseline import lines, of_classes
from samebits.evaluation.inputs import (
    Evaluation,
    EvaluationInputs,
    Origin,
    details,
    metrics_document,
    outputs_in_batches,
    previews,
    read_provenance,
)
from samebits.evaluation.report import figures
from samebits.evaluation.report.classification import Misclassification, render_report
from samebits.evaluation.report.figures import Uncalibrated, drawn_name
from samebits.evaluation.report.numbers import number_lines
from samebits.inference.calibration import Calibration
from samebits.metrics.classification import (
    Metrics,
    Predictions,
    evaluate_predictions,
    joined,
    most_confident_mistakes,
    predictions_from_logits,
)
from samebits.params.evaluate import EvaluateParams


def evaluate(evaluated: EvaluationInputs, settings: EvaluateParams) -> Evaluation:
    """Judge a classifier on the test split.

    Raises:
        UserError: if an output is not finite.
    """
    classes = evaluated.info.classes
    predictions, uncalibrated = _predictions(evaluated, settings)
    metrics = evaluate_predictions(
        predictions,
        top_k=settings.top_k,
        bins=settings.calibration_bins,
        bootstrap=settings.bootstrap,
        confidence=settings.confidence,
        more=evaluated.more_metrics,
    )
    baseline = of_classes(evaluated.info.class_counts["train"], predictions.labels, classes, evaluated.more_metrics)
    origins = read_provenance(evaluated)
    mistakes = _mistakes(evaluated, predictions, origins, settings.mistakes)
    error = metrics.values["calibration_error"] or 0.0
    before = None if uncalibrated is None else _before(uncalibrated, settings)
    pictures = {
        "confusion.png": figures.confusion_figure(metrics.confusion, classes),
        "calibration.png": figures.calibration_figure(metrics.bins, error, before),
        **figures.curve_pictures(evaluated.curves),
    }
    page = render_report(
        metrics,
        baseline,
        predictions,
        classes=classes,
        mistakes=mistakes,
        details=details(evaluated, settings),
        title=evaluated.title,
        confidence=settings.confidence,
        resamples=settings.bootstrap,
        pictures=pictures,
        before=before,
    )
    images = [each.preview.image for each in mistakes if each.preview.image is not None]
    if evaluated.info.signature.inputs.pictures:
        captions = [
            f"{drawn_name(each.predicted)} {each.confidence:.0%}\ntrue {drawn_name(each.true)}" for each in mistakes
        ]
        pictures["mistakes.png"] = figures.mistakes_figure(images, captions)
    return Evaluation(
        metrics=metrics_document(metrics, baseline, settings, len(predictions))
        | ({"uncalibrated": before.values} if before else {}),
        files={
            "report.html": page.encode(),
            "predictions.csv": _predictions_csv(predictions, classes, origins),
            "per_class.csv": _per_class_csv(metrics, classes),
            "calibration.csv": _calibration_csv(metrics),
        },
        figures=pictures,
        table=[
            *number_lines(metrics, baseline, settings.confidence),
            *([f"before the temperature: {before.shown}"] if before else []),
            *lines(baseline, metrics.values, evaluated.own_metrics),
        ],
    )


def _predictions(evaluated: EvaluationInputs, settings: EvaluateParams) -> tuple[Predictions, Predictions | None]:
    """Of the whole split, a batch at a time; and without the temperature, where there is one.

    Probabilities of all classes are kept for metrics of the user's own, which read them.
    """
    temperature, labels = evaluated.calibration.temperature, evaluated.split.labels
    parts: list[Predictions] = []
    before: list[Predictions] = []
    rows: list[npt.NDArray[np.int64]] = []
    for logits, batch in outputs_in_batches(evaluated, settings.batch_size):
        part = _calibrated(predictions_from_logits(logits, labels[batch.indices], batch.indices), evaluated.calibration)
        parts.append(part if evaluated.own_metrics else replace(part, probabilities=None))
        if temperature != 1.0:
            part = predictions_from_logits(logits * temperature, labels[batch.indices], batch.indices)
            before.append(replace(part, probabilities=None))
        rows.append(batch.indices)
    order = np.concatenate(rows)
    return joined(parts, order), joined(before, order) if before else None


def _calibrated(predictions: Predictions, calibration: Calibration) -> Predictions:
    """Predictions with the sets and the score of the calibration."""
    probabilities = predictions.pair[0]
    unlike = calibration.are_unlike(probabilities)
    return replace(predictions.with_sets(calibration.in_set(probabilities)), unlike=unlike)


def _before(predictions: Predictions, settings: EvaluateParams) -> Uncalibrated:
    """How well calibrated the probabilities are without the temperature."""
    found = evaluate_predictions(
        predictions, top_k=0, bins=settings.calibration_bins, bootstrap=0, confidence=settings.confidence
    )
    return Uncalibrated(found.bins, found.values["log_loss"] or 0.0, found.values["calibration_error"] or 0.0)


def _mistakes(
    evaluated: EvaluationInputs, predictions: Predictions, origins: Sequence[Origin], limit: int
) -> list[Misclassification]:
    worst = most_confident_mistakes(predictions, limit)
    classes = evaluated.info.classes
    of_truth = np.exp(predictions.of_label[worst])
    return [
        Misclassification(
            index=int(index),
            source=origins[index].source,
            preview=preview,
            true=classes[predictions.labels[index]],
            predicted=classes[predictions.predicted[index]],
            confidence=float(predictions.confidence[index]),
            probability=float(probability),
        )
        for index, preview, probability in zip(worst, previews(evaluated, worst), of_truth, strict=True)
    ]


def _predictions_csv(predictions: Predictions, classes: Sequence[str], origins: Sequence[Origin]) -> bytes:
    of_truth = np.exp(predictions.of_label)
    rows = (
        (index, *origin, classes[true], classes[said], f"{sure:.6f}", f"{truth:.6f}", int(true == said))
        for index, (origin, true, said, sure, truth) in enumerate(
            zip(origins, predictions.labels, predictions.predicted, predictions.confidence, of_truth, strict=True)
        )
    )
    return csv_bytes(
        ("index", *Origin._fields, "actual", "predicted", "confidence", "probability_of_actual", "correct"), rows
    )


def _per_class_csv(metrics: Metrics, classes: Sequence[str]) -> bytes:
    rows = (
        (name, score.support, score.predicted, *map(rounded, (score.precision, score.recall, score.f1)))
        for name, score in zip(classes, metrics.per_class, strict=True)
    )
    return csv_bytes(("class", "support", "predicted", "precision", "recall", "f1"), rows)


def _calibration_csv(metrics: Metrics) -> bytes:
    rows = (
        (rounded(b.lower), rounded(b.upper), b.count, rounded(b.confidence), rounded(b.accuracy)) for b in metrics.bins
    )
    return csv_bytes(("lower", "upper", "count", "confidence", "accuracy"), rows)
