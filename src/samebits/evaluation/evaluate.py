"""The `evaluate` stage: judge the checkpoint on the test split. Nothing before it looks at that split.

Run it by `dvc repro evaluate`. Result: `reports/evaluation/` with `metrics.json`, `predictions.csv`, `per_class.csv`,
`calibration.csv`, four PNG figures and `report.html`, one page that needs nothing else.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from samebits.checkpoint import CheckpointConfig, load_checkpoint
from samebits.data.batches import sequential
from samebits.data.prepared import DatasetInfo, Split, open_split, read_info
from samebits.errors import Interrupted, UserError
from samebits.evaluation import figures
from samebits.evaluation.curves import Curve, read_curves
from samebits.evaluation.metrics import (
    Metrics,
    Predictions,
    evaluate_predictions,
    most_confident_mistakes,
    predictions_from_logits,
)
from samebits.evaluation.report import Mistake, format_value, label_of, render_report
from samebits.files import write_bytes, write_json
from samebits.params.evaluate import EvaluateParams
from samebits.serving import ServingModel

if TYPE_CHECKING:
    from samebits.stage import StageContext

_DIGITS = 6
"""Decimals kept of a metric: what is beyond depends on how sums are split over threads."""


def evaluate(evaluate: EvaluateParams, *, context: StageContext) -> None:
    """Write `reports/evaluation/` from `models/checkpoint/` and the test split.

    Raises:
        UserError: missing or damaged inputs, a checkpoint of other data, outputs that are not finite.
        Interrupted: if asked to stop.
    """
    project = context.project
    checkpoint = load_checkpoint(project.checkpoint)
    info = read_info(project.prepared)
    if checkpoint.config.data_digest != info.digest:
        raise UserError(
            f"{project.checkpoint} was trained on data {checkpoint.config.data_digest[:16]}, {project.prepared} holds "
            f"{info.digest[:16]}",
            "run dvc repro, which trains on the prepared data",
        )
    curves = read_curves(project.reports / "train" / "curves.csv")
    split = open_split(project.prepared, "test", in_memory=info.split_bytes("test") <= context.runtime.memory_mib << 20)
    serving = ServingModel(checkpoint.model, checkpoint.config.mean, checkpoint.config.std).eval()
    predictions = _predict(serving, split, evaluate.batch_size, context)
    metrics = evaluate_predictions(
        predictions,
        top_k=evaluate.top_k,
        bins=evaluate.calibration_bins,
        bootstrap=evaluate.bootstrap,
        confidence=evaluate.confidence,
    )
    mistakes = _mistakes(predictions, split, info.classes, evaluate.mistakes)
    parameters = sum(parameter.numel() for parameter in checkpoint.model.parameters())
    facts = _facts(info, checkpoint.config, parameters, evaluate)
    folder = project.reports / "evaluation"
    title = f"{checkpoint.config.model.get('name')} on {info.title}"
    _write(folder, metrics, predictions, info, curves, mistakes, facts, evaluate, title)
    for line in _table(metrics, evaluate.confidence):
        context.say(line)
    context.tracker.report(folder / "metrics.json")
    for path in sorted(folder.glob("*.png")):
        context.tracker.artifact(path, "evaluation")
    for name in ("report.html", "per_class.csv", "calibration.csv"):
        context.tracker.artifact(folder / name, "evaluation")


def metrics_document(metrics: Metrics, settings: EvaluateParams, samples: int) -> dict[str, Any]:
    """`metrics.json`: numbers under `test`, their intervals under `interval`; what is undefined is null, with why."""
    document: dict[str, Any] = {
        "test": {name: _rounded(value) for name, value in metrics.values.items()},
        "interval": {
            name: {"low": _rounded(interval.low), "high": _rounded(interval.high)}
            for name, interval in metrics.intervals.items()
        },
        "confidence": settings.confidence,
        "samples": samples,
    }
    if metrics.undefined:
        document["undefined"] = metrics.undefined
    return document


def _predict(serving: ServingModel, split: Split, batch_size: int, context: StageContext) -> Predictions:
    """Logits of the whole split in eager fp32 on the CPU, where a checkpoint gives the same numbers everywhere."""
    parts = []
    with torch.inference_mode():
        for batch in sequential(split, batch_size):
            if context.stop.requested:
                raise Interrupted("evaluate was stopped")
            parts.append(serving.logits(batch.inputs).numpy())
    if not parts:
        raise UserError("the test split holds no sample", "check data.source, then run: dvc repro")
    return predictions_from_logits(np.concatenate(parts), split.labels)


def _mistakes(predictions: Predictions, split: Split, classes: Sequence[str], limit: int) -> list[Mistake]:
    worst = most_confident_mistakes(predictions, limit)
    images = split.rows(worst)
    of_truth = np.exp(predictions.log_probabilities[worst, predictions.labels[worst]])
    return [
        Mistake(
            index=int(index),
            image=image,
            true=classes[predictions.labels[index]],
            predicted=classes[predictions.predicted[index]],
            confidence=float(predictions.confidence[index]),
            probability=float(probability),
        )
        for index, image, probability in zip(worst, images, of_truth, strict=True)
    ]


def _write(
    folder: Path,
    metrics: Metrics,
    predictions: Predictions,
    info: DatasetInfo,
    curves: list[Curve],
    mistakes: list[Mistake],
    facts: list[tuple[str, list[tuple[str, str]]]],
    settings: EvaluateParams,
    title: str,
) -> None:
    """All files of the stage."""
    confusion = figures.confusion_figure(metrics.confusion, info.classes)
    error = metrics.values["calibration_error"] or 0.0
    gallery = np.array([each.image for each in mistakes], dtype=np.uint8).reshape(-1, *info.shape)
    captions = [f"{each.predicted} {each.confidence:.0%}\ntrue {each.true}" for each in mistakes]
    write_bytes(folder / "confusion.png", confusion)
    write_bytes(folder / "calibration.png", figures.calibration_figure(metrics.bins, error))
    write_bytes(folder / "mistakes.png", figures.mistakes_figure(gallery, captions))
    write_bytes(folder / "curves.png", figures.curves_figure(curves))
    write_bytes(folder / "predictions.csv", _predictions_csv(predictions, info.classes))
    write_bytes(folder / "per_class.csv", _per_class_csv(metrics, info.classes))
    write_bytes(folder / "calibration.csv", _calibration_csv(metrics))
    page = render_report(
        metrics,
        predictions,
        classes=info.classes,
        curves=curves,
        mistakes=mistakes,
        facts=facts,
        title=title,
        confidence=settings.confidence,
        resamples=settings.bootstrap,
        confusion_png=confusion,
    )
    write_bytes(folder / "report.html", page.encode())
    write_json(folder / "metrics.json", metrics_document(metrics, settings, len(predictions)))


def _facts(
    info: DatasetInfo, config: CheckpointConfig, parameters: int, settings: EvaluateParams
) -> list[tuple[str, list[tuple[str, str]]]]:
    channels, height, width = info.shape
    kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    counts = ", ".join(f"{count:,} {split}" for split, count in info.counts.items())
    data = [
        ("name", info.title),
        ("licence", info.licence),
        ("images", f"{width} × {height}, {kind}"),
        ("classes", f"{len(info.classes)}"),
        ("splits", counts),
        ("digest", info.digest),
    ]
    model = [("model", str(config.model.get("name"))), ("parameters", f"{parameters:,}")]
    model += [(name, _text(value)) for name, value in sorted(config.model.items()) if name != "name"]
    model += [(f"task.{name}", _text(value)) for name, value in sorted(config.task.items())]
    model += [("trained", f"{config.epoch} epochs, {config.step:,} steps")]
    how = [(f"evaluate.{name}", _text(value)) for name, value in settings.model_dump().items()]
    return [("Data", data), ("Model", model), ("Evaluation", how)]


def _table(metrics: Metrics, confidence: float) -> Iterable[str]:
    for name, value in metrics.values.items():
        interval = metrics.intervals.get(name)
        spread = f"{format_value(name, interval.low)} to {format_value(name, interval.high)}" if interval else ""
        yield f"{label_of(name):<18} {format_value(name, value):>9}   {confidence:.0%}: {spread}"


def _predictions_csv(predictions: Predictions, classes: Sequence[str]) -> bytes:
    of_truth = np.exp(predictions.log_probabilities[np.arange(len(predictions)), predictions.labels])
    rows = (
        (index, classes[true], classes[said], f"{sure:.6f}", f"{truth:.6f}", int(true == said))
        for index, (true, said, sure, truth) in enumerate(
            zip(predictions.labels, predictions.predicted, predictions.confidence, of_truth, strict=True)
        )
    )
    return _csv(("index", "actual", "predicted", "confidence", "probability_of_actual", "correct"), rows)


def _per_class_csv(metrics: Metrics, classes: Sequence[str]) -> bytes:
    rows = (
        (name, score.support, score.predicted, *map(_rounded, (score.precision, score.recall, score.f1)))
        for name, score in zip(classes, metrics.per_class, strict=True)
    )
    return _csv(("class", "support", "predicted", "precision", "recall", "f1"), rows)


def _calibration_csv(metrics: Metrics) -> bytes:
    rows = (
        (_rounded(b.lower), _rounded(b.upper), b.count, _rounded(b.confidence), _rounded(b.accuracy))
        for b in metrics.bins
    )
    return _csv(("lower", "upper", "count", "confidence", "accuracy"), rows)


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
