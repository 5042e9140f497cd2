"""Judging predicted vectors: R² and errors with intervals, each component for itself, the worst cases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from samebits.base.decimals import rounded, significant
from samebits.base.files import csv_bytes
from samebits.evaluation.baseline import of_vectors
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
from samebits.metrics.metric import measure, require_finite
from samebits.metrics.regression import RegressionPredictions
from samebits.metrics.vector import METRICS, VectorPredictions, component_scores
from samebits.params.evaluate import EvaluateParams
from samebits.signature.vector import VectorTarget

_SHOWN = 8  # components of a vector in a cell of the page
_DIGITS = 6


def evaluate(evaluated: EvaluationInputs, settings: EvaluateParams) -> Evaluation:
    """Judge a regression of vectors on the test split; each component in its own unit, all in standard deviations.

    Raises:
        UserError: if an output is not finite.
    """
    target = evaluated.info.signature.target
    assert isinstance(target, VectorTarget) and evaluated.split.targets is not None
    outputs = raw_outputs(evaluated, settings.batch_size).astype(np.float64)
    mean, std = np.array(target.mean), np.array(target.std)
    require_finite(outputs)
    vectors = VectorPredictions(
        evaluated.split.targets.astype(np.float64), outputs * std + mean, std, _half_widths(evaluated)
    )
    metrics = measure(
        [*METRICS, *evaluated.more_metrics], vectors, bootstrap=settings.bootstrap, confidence=settings.confidence
    )
    baseline = of_vectors(mean, std, vectors.actual, evaluated.more_metrics)
    worst = np.argsort(-vectors.distances, kind="stable")[: settings.mistakes].astype(np.int64)
    origins = read_provenance(evaluated)
    scores = list(zip(target.parts, component_scores(vectors), strict=True))
    # All components in one picture, in their standard deviations.
    shares = RegressionPredictions(((vectors.actual - mean) / std).ravel(), outputs.ravel())
    pictures = {
        "predicted.png": regression_figures.predicted_figure(shares, f"{target.name}, standardised"),
        **curve_pictures(evaluated.curves),
    }
    return sectioned(
        evaluated,
        settings,
        metrics,
        baseline,
        [
            [
                Section(
                    "Predicted and actual",
                    "A dot a component of a sample, in standard deviations from its mean.",
                    data_url(pictures["predicted.png"]),
                    "predicted against actual values",
                ),
                _components(scores),
            ]
        ],
        Section(
            "Worst cases",
            f"The {len(worst)} samples with the largest errors in standard deviations.",
            columns=("test sample", "from", "actual", "predicted", "error", "sample"),
            rows=[
                (
                    f"{index}",
                    origins[index].source,
                    _numbers(vectors.actual[index].tolist()),
                    _numbers(vectors.predicted[index].tolist()),
                    significant(vectors.distances[index], 4),
                    sample_cell(sample, index),
                )
                for index, sample in zip(worst.tolist(), previews(evaluated, worst), strict=True)
            ],
            facts=True,
        ),
        about=f"{target.name}, {vectors.width} numbers each, of {len(vectors):,} test samples.",
        files={
            "predictions.csv": _predictions_csv(vectors, origins, target.parts),
            "per_component.csv": csv_bytes(
                ("component", "r2", "rmse", "mae"), ((name, *map(rounded, score)) for name, score in scores)
            ),
        },
        pictures=pictures,
    )


def _half_widths(evaluated: EvaluationInputs) -> npt.NDArray[np.float64] | None:
    """Of the intervals, [K]."""
    found = evaluated.calibration.half_widths
    return None if found is None else np.array(found)


def _components(scores: Sequence[tuple[str, tuple[float, float, float]]]) -> Section:
    return Section(
        "Components",
        "Each in its own unit.",
        columns=("component", "R²", "RMSE", "mean absolute error", ""),
        rows=[
            (
                name,
                "–" if np.isnan(share) else f"{share:.4f}",
                significant(rmse, 4),
                significant(mae, 4),
                bar(0.0 if np.isnan(share) else 100 * max(0.0, share)),
            )
            for name, (share, rmse, mae) in scores
        ],
    )


def _numbers(values: Sequence[float]) -> str:
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(significant(value, 4) for value in values[:_SHOWN]) + more


def _predictions_csv(vectors: VectorPredictions, origins: Sequence[Origin], parts: Sequence[str]) -> bytes:
    """A line for each component of each sample."""
    return csv_bytes(
        ("index", *Origin._fields, "component", "actual", "predicted", "residual"),
        (
            (index, *origin, name, f"{true:.{_DIGITS + 3}g}", f"{said:.{_DIGITS}g}", f"{said - true:.{_DIGITS}g}")
            for index, (origin, actual, predicted) in enumerate(
                zip(origins, vectors.actual.tolist(), vectors.predicted.tolist(), strict=True)
            )
            for name, true, said in zip(parts, actual, predicted, strict=True)
        ),
    )
