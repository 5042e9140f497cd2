"""Judging predicted numbers: R² and errors with intervals, residuals, the worst cases, the columns that matter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from samebits.base.decimals import rounded, significant
from samebits.base.files import csv_bytes
from samebits.evaluation.baseline import of_numbers
from samebits.evaluation.importance import Importance, permutation_importance
from samebits.evaluation.inputs import (
    Evaluation,
    EvaluationInputs,
    Origin,
    previews,
    raw_outputs,
    read_provenance,
)
from samebits.evaluation.report import regression_figures
from samebits.evaluation.report.figures import curve_pictures
from samebits.evaluation.report.page import data_url
from samebits.evaluation.report.sections import Section, bar, sample_cell
from samebits.evaluation.sectioned import sectioned
from samebits.metrics.metric import measure
from samebits.metrics.regression import METRICS, RegressionPredictions, check_numbers
from samebits.metrics.scores import r2
from samebits.params.evaluate import EvaluateParams
from samebits.signature.kind import Preview
from samebits.signature.number import NumberTarget

_DIGITS = 6
_COLUMNS = 12  # that matter most, on the page


def evaluate(evaluated: EvaluationInputs, settings: EvaluateParams) -> Evaluation:
    """Judge a regression on the test split, in the unit of the data.

    Raises:
        UserError: if an output is not finite.
    """
    target = evaluated.info.signature.target
    assert isinstance(target, NumberTarget) and evaluated.split.targets is not None
    outputs = raw_outputs(evaluated, settings.batch_size).astype(np.float64).ravel()
    wide = evaluated.calibration.half_widths
    numbers = check_numbers(evaluated.split.targets, outputs * target.std + target.mean, wide[0] if wide else None)
    metrics = measure(
        [*METRICS, *evaluated.more_metrics], numbers, bootstrap=settings.bootstrap, confidence=settings.confidence
    )
    first = "rmse" if metrics.values["r2"] is None else "r2"
    baseline = of_numbers(target.mean, numbers.actual, evaluated.more_metrics)
    worst = np.argsort(-np.abs(numbers.residuals), kind="stable")[: settings.mistakes].astype(np.int64)
    columns = evaluated.info.signature.inputs.column_groups
    origins, samples = read_provenance(evaluated), previews(evaluated, worst)
    importances: list[Importance] = []
    if columns and first == "r2":  # a drop of what is undefined is undefined
        importances = permutation_importance(
            evaluated,
            columns,
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
    return sectioned(
        evaluated,
        settings,
        metrics,
        baseline,
        [
            [
                Section(
                    "Predicted and actual",
                    "A dot a sample; a perfect model puts all of them on the diagonal.",
                    data_url(pictures["predicted.png"]),
                    "predicted against actual values",
                ),
                Section(
                    "Residuals",
                    "Predicted minus actual. A funnel means larger errors for larger values, a bend something the "
                    "model missed.",
                    data_url(pictures["residuals.png"]),
                    "residuals against predicted values",
                ),
            ],
            [
                Section(
                    "Spread of the residuals",
                    picture=data_url(pictures["residual_histogram.png"]),
                    alt="histogram of the residuals",
                ),
                *_columns_that_matter(importances),
            ],
        ],
        _worst(numbers, worst, origins, samples),
        about=f"{target.name} of {len(numbers):,} test samples, in its own unit.",
        files=files,
        pictures=pictures,
        remarks=_importance_line(importances),
    )


def _importance_line(importances: Sequence[Importance]) -> Iterator[str]:
    if importances:
        shown = ", ".join(f"{each.name} {each.drop:.3f}" for each in importances[:5])
        yield f"columns that matter most (R² lost when shuffled): {shown}"


def _columns_that_matter(importances: Sequence[Importance]) -> Iterator[Section]:
    if not importances:
        return
    shown = importances[:_COLUMNS]
    largest = max(each.drop for each in shown) or 1.0
    yield Section(
        "Columns that matter",
        "R² lost when a column's values change places among the test rows, and the standard deviation over 5 such "
        "shuffles. Columns that carry the same hide each other.",
        columns=("column", "R² lost", "±", ""),
        rows=[
            (
                each.name,
                f"{round(each.drop, 4) + 0.0:.4f}",
                f"{each.spread:.4f}",
                bar(100 * max(0.0, each.drop) / largest),
            )
            for each in shown
        ],
        after=f"{len(shown)} of {len(importances)} columns; importance.csv has them all."
        if len(importances) > len(shown)
        else "",
    )


def _worst(
    numbers: RegressionPredictions, worst: Any, origins: Sequence[Origin], samples: Sequence[Preview]
) -> Section:
    return Section(
        "Worst cases",
        f"The {len(worst)} samples with the largest errors.",
        columns=("test sample", "from", "actual", "predicted", "residual", "sample"),
        rows=[
            (
                f"{index}",
                origins[index].source,
                significant(numbers.actual[index], 6),
                significant(numbers.predicted[index], 6),
                significant(numbers.residuals[index], 4, "+"),
                sample_cell(sample, index),
            )
            for index, sample in zip(worst.tolist(), samples, strict=True)
        ],
        facts=True,
    )


def _predictions_csv(numbers: RegressionPredictions, origins: Sequence[Origin]) -> bytes:
    rows = zip(origins, numbers.actual.tolist(), numbers.predicted.tolist(), numbers.residuals.tolist(), strict=True)
    wide = numbers.half_width

    def ends(said: float) -> tuple[str, ...]:
        return () if wide is None else (f"{said - wide:.{_DIGITS}g}", f"{said + wide:.{_DIGITS}g}")

    return csv_bytes(
        ("index", *Origin._fields, "actual", "predicted", "residual", *(() if wide is None else ("low", "high"))),
        (
            (index, *origin, f"{actual:.{_DIGITS + 3}g}", f"{said:.{_DIGITS}g}", f"{off:.{_DIGITS}g}", *ends(said))
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
