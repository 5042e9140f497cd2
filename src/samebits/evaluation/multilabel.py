"""Judging several labels at once: F1 and its kin with intervals, each label for itself, the worst cases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from samebits.base.decimals import rounded
from samebits.base.files import csv_bytes
from samebits.evaluation.baseline import Baseline
from samebits.evaluation.inputs import (
    Evaluation,
    EvaluationInputs,
    Origin,
    previews,
    raw_outputs,
    read_provenance,
)
from samebits.evaluation.report.figures import curve_pictures
from samebits.evaluation.report.sections import Section, bar, sample_cell
from samebits.evaluation.sectioned import sectioned
from samebits.metrics.bootstrap import whole
from samebits.metrics.metric import measure
from samebits.metrics.multilabel import (
    METRICS,
    LabelPredictions,
    average_precisions,
    label_scores,
    predictions_from_logits,
)
from samebits.params.evaluate import EvaluateParams


def evaluate(evaluated: EvaluationInputs, settings: EvaluateParams) -> Evaluation:
    """Judge a multi-label classifier on the test split.

    Raises:
        UserError: if an output is not finite.
    """
    targets, classes = evaluated.split.targets, evaluated.info.classes
    assert targets is not None
    found = predictions_from_logits(raw_outputs(evaluated, settings.batch_size), targets)
    metrics = measure(
        [*METRICS, *evaluated.more_metrics], found, bootstrap=settings.bootstrap, confidence=settings.confidence
    )
    baseline = _baseline(evaluated, found.actual)
    worst = np.argsort(-found.losses.round(9), kind="stable")[: settings.mistakes].astype(np.int64)
    origins = read_provenance(evaluated)
    pictures = curve_pictures(evaluated.curves)
    (areas,) = average_precisions(found, whole(len(found)))
    averages = [None if np.isnan(area) else area for area in areas.tolist()]
    scores = list(zip(classes, label_scores(found), averages, strict=True))
    return sectioned(
        evaluated,
        settings,
        metrics,
        baseline,
        [[_per_label(scores)]],
        Section(
            "Worst cases",
            f"The {len(worst)} samples with the highest loss.",
            columns=("test sample", "from", "labels", "predicted", "sample"),
            rows=[
                (
                    f"{index}",
                    origins[index].source,
                    _names(found.actual[index], classes),
                    _names(found.predicted[index], classes),
                    sample_cell(sample, index),
                )
                for index, sample in zip(worst.tolist(), previews(evaluated, worst), strict=True)
            ],
            facts=True,
        ),
        about=f"{len(found):,} test samples, {len(classes)} labels. One applies if its probability is above one half.",
        files={
            "predictions.csv": _predictions_csv(found, classes, origins),
            "per_label.csv": csv_bytes(
                ("label", "support", "predicted", "precision", "recall", "f1", "average_precision"),
                ((name, *score[:2], *map(rounded, (*score[2:], average))) for name, score, average in scores),
            ),
        },
        pictures=pictures,
    )


def _baseline(evaluated: EvaluationInputs, actual: npt.NDArray[np.bool_]) -> Baseline:
    """Of each label its share in the training split."""
    training = np.asarray(evaluated.info.class_counts["train"], dtype=np.float64)
    shares = (training + 1.0) / (evaluated.info.counts["train"] + 2.0)
    constant = LabelPredictions(actual, np.broadcast_to(shares, actual.shape))
    values = measure([*METRICS, *evaluated.more_metrics], constant).values
    common = _names(shares > 0.5, evaluated.info.classes)
    return Baseline(
        f"always {common}, by the shares of the labels in the training split",
        {name: number for name, value in values.items() if (number := rounded(value)) is not None},
    )


def _names(chosen: npt.NDArray[np.bool_], classes: Sequence[str]) -> str:
    return ", ".join(classes[k] for k in np.flatnonzero(chosen).tolist()) or "no label"


def _per_label(
    scores: Sequence[tuple[str, tuple[int, int, float | None, float | None, float | None], float | None]],
) -> Section:
    def share(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.2f}"

    return Section(
        "Labels",
        columns=("label", "samples", "predicted", "precision", "recall", "F1", "average precision", ""),
        rows=[
            (
                name,
                f"{n:,}",
                f"{said:,}",
                share(precision),
                share(recall),
                share(f1),
                share(average),
                bar(100 * (f1 or 0)),
            )
            for name, (n, said, precision, recall, f1), average in scores
        ],
    )


def _predictions_csv(found: LabelPredictions, classes: Sequence[str], origins: Sequence[Origin]) -> bytes:
    rows = zip(origins, found.actual, found.predicted, found.probabilities, strict=True)
    return csv_bytes(
        ("index", *Origin._fields, "actual", "predicted", *(f"probability of {name}" for name in classes)),
        (
            (index, *origin, _names(true, classes), _names(said, classes), *(f"{share:.6f}" for share in shares))
            for index, (origin, true, said, shares) in enumerate(rows)
        ),
    )
