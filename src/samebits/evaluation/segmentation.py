"""Judging masks: IoU, Dice and pixel accuracy with intervals, each class for itself, the worst images with overlays.

A split's masks and scores are never in memory together: a few images are looked at, and their counts kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from samebits.base.decimals import ANSWER_DECIMALS, rounded
from samebits.base.files import csv_bytes
from samebits.data.loading.prepared import open_split
from samebits.data.loading.tensors import as_tensor
from samebits.evaluation.baseline import Baseline
from samebits.evaluation.inputs import (
    Evaluation,
    EvaluationInputs,
    Origin,
    previews,
    read_provenance,
)
from samebits.evaluation.report.figures import confusion_figure, curve_pictures
from samebits.evaluation.report.legend import legend
from samebits.evaluation.report.page import data_url
from samebits.evaluation.report.sections import Cell, Section, bar, sample_cell
from samebits.evaluation.sample_image import image_png
from samebits.evaluation.sectioned import sectioned
from samebits.metrics.bootstrap import Floats, Ints
from samebits.metrics.confusion import Confusion
from samebits.metrics.metric import measure, require_finite
from samebits.metrics.scores import class_f1, class_ious, confusion
from samebits.metrics.segmentation import METRICS, MaskOverlaps
from samebits.params.evaluate import EvaluateParams
from samebits.signature.image import displayed
from samebits.signature.kind import Preview
from samebits.signature.mask import IGNORED, MaskTarget

_PIXELS = 1 << 18
"""Of the images that the model looks at together, at most."""


def evaluate(evaluated: EvaluationInputs, settings: EvaluateParams) -> Evaluation:
    """Judge masks on the test split.

    Raises:
        UserError: if an output is not finite.
    """
    target, targets = evaluated.info.signature.target, evaluated.split.targets
    assert isinstance(target, MaskTarget) and targets is not None
    classes = target.classes
    answers = _answers(evaluated, settings, np.arange(len(evaluated.split)))
    found, pixels = _overlaps(answers, targets, len(classes), keep=bool(evaluated.own_metrics))
    metrics = measure(
        [*METRICS, *evaluated.more_metrics], found, bootstrap=settings.bootstrap, confidence=settings.confidence
    )
    baseline = _baseline(evaluated, target)
    worst = np.argsort(found.image_ious.round(9), kind="stable")[: settings.mistakes].astype(np.int64)
    said = [mask for _, mask, _ in _answers(evaluated, settings, worst)]
    origins = read_provenance(evaluated)
    per_class = _per_class(found, classes)
    of_true = np.rint(100 * pixels / np.maximum(pixels.sum(axis=1, keepdims=True), 1)).astype(np.int64)
    drawn = confusion_figure(Confusion.of_matrix(of_true), classes)
    pictures = {"confusion.png": drawn, **curve_pictures(evaluated.curves)}
    return sectioned(
        evaluated,
        settings,
        metrics,
        baseline,
        [
            [
                _classes_section(per_class),
                Section(
                    "Confusion",
                    "Percent of the pixels of each true class.",
                    data_url(pictures["confusion.png"]),
                    "confusion matrix",
                ),
            ]
        ],
        Section(
            "Worst cases",
            f"The {len(worst)} images with the lowest IoU, the mean over the classes that are in one of the two masks. "
            "Pixels that do not count are dark in both.",
            data_url(legend(target)),
            "the colours of the classes",
            columns=("test sample", "from", "IoU", "image", "true", "predicted"),
            rows=[
                (
                    f"{index}",
                    origins[index].source,
                    f"{found.image_ious[index]:.2%}",
                    sample_cell(sample, index),
                    _overlay_cell(sample, true, target, "true mask"),
                    _overlay_cell(sample, mask, target, "predicted mask"),
                )
                for index, sample, true, mask in zip(
                    worst.tolist(),
                    previews(evaluated, worst),
                    targets[worst],
                    _hidden(said, targets[worst]),
                    strict=True,
                )
            ],
            facts=True,
        ),
        about=f"{len(found):,} test images, {int(found.pixels.sum()):,} pixels that count, {len(classes)} classes.",
        files={
            "predictions.csv": _predictions_csv(found, origins),
            "per_class.csv": csv_bytes(
                ("class", "pixels", "predicted", "iou", "dice"),
                ((name, actual, said, rounded(iou), rounded(dice)) for name, actual, said, iou, dice in per_class),
            ),
            "confusion.csv": csv_bytes(
                ("true", *classes), ((name, *row) for name, row in zip(classes, pixels.tolist(), strict=True))
            ),
        },
        pictures=pictures,
    )


Answer = tuple[int, npt.NDArray[np.uint8], Floats]
"""Row of the split, predicted mask [H, W], log probabilities [K, H, W]."""


def _answers(evaluated: EvaluationInputs, settings: EvaluateParams, rows: npt.NDArray[np.int64]) -> Iterator[Answer]:
    """What the model says of some images.

    Raises:
        UserError: if an output is not finite.
    """
    height, width = evaluated.info.signature.output_shape[-2:]
    size = max(1, min(settings.batch_size, _PIXELS // (height * width)))
    for start in range(0, len(rows), size):
        evaluated.check()
        chosen = rows[start : start + size]
        inputs, _ = evaluated.split.samples(chosen)
        with torch.inference_mode():
            logits = evaluated.outputs(as_tensor(inputs)).astype(np.float64).round(ANSWER_DECIMALS)
        require_finite(logits, chosen)
        for row, scores in zip(chosen.tolist(), logits, strict=True):
            highest = scores.max(axis=0)
            log_sum = highest + np.log(np.exp(scores - highest).sum(axis=0))
            yield row, scores.argmax(axis=0).astype(np.uint8), scores - log_sum


def _overlaps(
    answers: Iterator[Answer], targets: npt.NDArray[np.uint8], classes: int, *, keep: bool
) -> tuple[MaskOverlaps, Ints]:
    """The counts of each image, and the confusion of all pixels, [K, K]; `keep`: the masks, too."""
    total = np.zeros((classes, classes), dtype=np.int64)
    counts = np.zeros((3, len(targets), classes), dtype=np.int64)
    losses = np.zeros(len(targets))
    masks = np.stack([targets, targets]) if keep else None
    for row, mask, log_probabilities in answers:
        if masks is not None:
            masks[0, row] = mask
        true = targets[row]
        of_image = confusion(mask, true, classes)
        counts[:, row] = np.diag(of_image), of_image.sum(axis=1), of_image.sum(axis=0)
        total += of_image
        wanted = np.where(true == IGNORED, 0, true)[None].astype(np.int64)
        of_truth = np.take_along_axis(log_probabilities, wanted, axis=0)[0]
        losses[row] = -of_truth[true != IGNORED].sum()
    return MaskOverlaps(counts[0], counts[1], counts[2], losses, masks), total


def _baseline(evaluated: EvaluationInputs, target: MaskTarget) -> Baseline:
    """At each place of the image the class that most training masks have there; as probabilities, the shares."""
    masks = open_split(evaluated.prepared, "train", in_memory=False).targets
    assert masks is not None
    counts = np.ones((len(target.classes), *target.shape))
    for k in range(len(target.classes)):
        for start in range(0, len(masks), 256):
            counts[k] += (masks[start : start + 256] == k).sum(axis=0)
    log_shares = np.log(counts / counts.sum(axis=0))
    mask = counts.argmax(axis=0).astype(np.uint8)
    targets = evaluated.split.targets
    assert targets is not None
    answers = ((row, mask, log_shares) for row in range(len(targets)))
    found, _ = _overlaps(answers, targets, len(target.classes), keep=bool(evaluated.own_metrics))
    values = measure([*METRICS, *evaluated.more_metrics], found).values
    return Baseline(
        "at each place the most frequent class of the training masks",
        {name: number for name, value in values.items() if (number := rounded(value)) is not None},
    )


Row = tuple[str, int, int, float, float]
"""Class, pixels of it, pixels that are said to be of it, IoU and Dice; NaN where undefined."""


def _per_class(found: MaskOverlaps, classes: Sequence[str]) -> list[Row]:
    both, actual, predicted = (each.sum(axis=0) for each in (found.both, found.actual, found.predicted))
    ious = class_ious(both, actual, predicted)
    dice = class_f1(both.astype(np.float64), actual.astype(np.float64), predicted.astype(np.float64))
    return list(zip(classes, actual.tolist(), predicted.tolist(), ious.tolist(), dice.tolist(), strict=True))


def _classes_section(rows: Sequence[Row]) -> Section:
    def share(value: float) -> str:
        return "–" if np.isnan(value) else f"{100 * value:.2f}"

    return Section(
        "Classes",
        columns=("class", "pixels", "predicted", "IoU", "Dice", ""),
        rows=[
            (name, f"{actual:,}", f"{said:,}", share(iou), share(dice), bar(100 * float(np.nan_to_num(iou))))
            for name, actual, said, iou, dice in rows
        ],
    )


def _overlay_cell(sample: Preview, mask: npt.NDArray[np.uint8], target: MaskTarget, alt: str) -> Cell:
    assert sample.image is not None
    return Cell(image=data_url(image_png(target.overlay(displayed(sample.image), mask))), alt=alt)


def _hidden(masks: Sequence[npt.NDArray[np.uint8]], true: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """Predicted masks without the pixels that do not count."""
    return [np.where(wanted == IGNORED, IGNORED, mask) for mask, wanted in zip(masks, true, strict=True)]


def _predictions_csv(found: MaskOverlaps, origins: Sequence[Origin]) -> bytes:
    right = found.both.sum(axis=1) / np.maximum(found.pixels, 1)
    losses = found.losses / np.maximum(found.pixels, 1)
    rows = zip(origins, found.pixels.tolist(), found.image_ious.tolist(), right.tolist(), losses.tolist(), strict=True)
    return csv_bytes(
        ("index", *Origin._fields, "pixels", "iou", "accuracy", "loss"),
        (
            (index, *origin, pixels, f"{iou:.6f}", f"{share:.6f}", f"{loss:.6f}")
            for index, (origin, pixels, iou, share, loss) in enumerate(rows)
        ),
    )
