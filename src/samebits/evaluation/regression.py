"""Judging predicted numbers: R² and errors with intervals, residuals, the worst cases, the columns that matter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from samebits.base.decimals import rounded, significant
from samebits.base.files import csv_bytes
from samebits.evaluation.baseline import lines, of_numbers
from samebits.evaluation.importance import Importance, permutation_importance
from samebits.evaluation.inputs import (
    Evaluation,
    EvaluationInputs,
    Origin,
    details,
    metrics_document,
    raw_outputs,
    read_provenance,
)
from samebits.evaluation.preview import Preview, previews
from samebits.evaluation.report import regression_figures
from samebits.evaluation.report.figures import curve_pictures
from samebits.evaluation.report.numbers import number_cards, number_lines
from samebits.evaluation.report.page import data_url, render
from samebits.evaluation.sample_image import image_png
from samebits.metrics.metric import measure
from samebits.metrics.regression import METRICS, RegressionPredictions, check_numbers
from samebits.metrics.scores import r2
from samebits.params.evaluate import EvaluateParams
from samebits.signature.signature import NumberTarget, TableInputs

_DIGITS = 6
_COLUMNS = 12  # that matter most, on the page


def evaluate(evaluated: EvaluationInputs, settings: EvaluateParams) -> Evaluation:
    """Judge a regression on the test split, in the unit of the data.

    Raises:
        UserError: if an output is not finite.
    """
    target = evaluated.info.signature.target
    assert isinstance(target, NumberTarget) and evaluated.split.targets is not None
    outputs = raw_outputs(evaluated, settings.batch_size).astype(np.float64)
    numbers = check_numbers(evaluated.split.targets, outputs * target.std + target.mean)
    metrics = measure(METRICS, numbers, bootstrap=settings.bootstrap, confidence=settings.confidence)
    first = "rmse" if metrics.values["r2"] is None else "r2"
    baseline = of_numbers(target.mean, numbers.actual)
    worst = np.argsort(-np.abs(numbers.residuals), kind="stable")[: settings.mistakes].astype(np.int64)
    inputs = evaluated.info.signature.inputs
    origins, samples = read_provenance(evaluated), previews(evaluated, worst)
    importances: list[Importance] = []
    if isinstance(inputs, TableInputs) and first == "r2":  # a drop of what is undefined is undefined
        importances = permutation_importance(
            evaluated,
            inputs,
            lambda answers, rows: float(r2(numbers.actual[rows], answers.astype(np.float64))),
            settings.batch_size,
        )
    pictures = {
        "predicted.png": regression_figures.predicted_figure(numbers, target.name),
        "residuals.png": regression_figures.residuals_figure(numbers, target.name),
        "residual_histogram.png": regression_figures.histogram_figure(numbers, target.name),
        **curve_pictures(evaluated.curves),
    }
    files = {
        "predictions.csv": _predictions_csv(numbers, origins),
        "worst.csv": _worst_csv(numbers, worst, origins, samples),
    }
    if importances:
        pictures["importance.png"] = regression_figures.importance_figure(importances)
        files["importance.csv"] = csv_bytes(
            ("column", "r2_drop", "spread"),
            ((each.name, rounded(each.drop), rounded(each.spread)) for each in importances),
        )
    files["report.html"] = render(
        "regression.html.j2",
        title=evaluated.title,
        target=target.name,
        samples=len(numbers),
        level=f"{settings.confidence:.0%}",
        resamples=settings.bootstrap,
        numbers=number_cards(metrics, baseline),
        baseline=baseline.answer,
        predicted=data_url(pictures["predicted.png"]),
        residuals=data_url(pictures["residuals.png"]),
        histogram=data_url(pictures["residual_histogram.png"]),
        importances=list(_bars(importances[:_COLUMNS])),
        columns=len(importances),
        curves=data_url(pictures.get("curves.png")),
        worst=_worst(numbers, worst, origins, samples),
        details=details(evaluated, settings),
    ).encode()
    return Evaluation(
        metrics=metrics_document(metrics, baseline, settings, len(numbers)),
        files=files,
        figures=pictures,
        table=[
            *number_lines(metrics, baseline, settings.confidence),
            *_importance_line(importances),
            *lines(baseline, metrics.values),
        ],
    )


def _importance_line(importances: Sequence[Importance]) -> Iterator[str]:
    if importances:
        shown = ", ".join(f"{each.name} {each.drop:.3f}" for each in importances[:5])
        yield f"columns that matter most (R² lost when shuffled): {shown}"


def _bars(importances: Sequence[Importance]) -> Iterator[dict[str, str]]:
    largest = max((each.drop for each in importances), default=0.0) or 1.0
    for each in importances:
        yield {
            "name": each.name,
            "drop": f"{round(each.drop, 4) + 0.0:.4f}",
            "spread": f"{each.spread:.4f}",
            "bar": f"{100 * max(0.0, each.drop) / largest:.2f}",
        }


def _worst(
    numbers: RegressionPredictions, worst: Any, origins: Sequence[Origin], samples: Sequence[Preview]
) -> list[dict[str, str]]:
    return [
        {
            "index": f"{index}",
            "source": origins[index].source,
            "actual": significant(numbers.actual[index], 6),
            "predicted": significant(numbers.predicted[index], 6),
            "residual": significant(numbers.residuals[index], 4, "+"),
            "image": data_url(image_png(sample.image)) if sample.image is not None else "",
            "text": sample.text,
        }
        for index, sample in zip(worst.tolist(), samples, strict=True)
    ]


def _predictions_csv(numbers: RegressionPredictions, origins: Sequence[Origin]) -> bytes:
    rows = zip(origins, numbers.actual.tolist(), numbers.predicted.tolist(), numbers.residuals.tolist(), strict=True)
    return csv_bytes(
        ("index", *Origin._fields, "actual", "predicted", "residual"),
        (
            (index, *origin, f"{actual:.{_DIGITS + 3}g}", f"{said:.{_DIGITS}g}", f"{off:.{_DIGITS}g}")
            for index, (origin, actual, said, off) in enumerate(rows)
        ),
    )


def _worst_csv(
    numbers: RegressionPredictions, worst: Any, origins: Sequence[Origin], samples: Sequence[Preview]
) -> bytes:
    return csv_bytes(
        ("index", *Origin._fields, "actual", "predicted", "residual", "sample"),
        (
            (
                index,
                *origins[index],
                f"{numbers.actual[index]:.{_DIGITS + 3}g}",
                f"{numbers.predicted[index]:.{_DIGITS}g}",
                f"{numbers.residuals[index]:.{_DIGITS}g}",
                sample.text,
            )
            for index, sample in zip(worst.tolist(), samples, strict=True)
        ),
    )
