"""Overlap of masks, held against scikit-learn's scores over all pixels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score  # type: ignore[import-untyped]

from samebits.metrics.metric import measure
from samebits.metrics.scores import class_ious, confusion, mean_iou
from samebits.metrics.segmentation import METRICS, MaskOverlaps
from samebits.signature.mask import MaskTarget

CLASSES = 4


def masks(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    true = random.integers(0, 3, (6, 5, 7), dtype=np.uint8)  # the fourth class is in no mask
    said = np.where(random.random(true.shape) < 0.6, true, random.integers(0, 3, true.shape)).astype(np.uint8)
    true[0, :2] = 255
    return said, true


def overlaps() -> MaskOverlaps:
    said, true = masks()
    counts = [confusion(a, b, CLASSES) for a, b in zip(said, true, strict=True)]
    return MaskOverlaps(
        both=np.array([np.diag(each) for each in counts]),
        actual=np.array([each.sum(axis=1) for each in counts]),
        predicted=np.array([each.sum(axis=0) for each in counts]),
        losses=np.arange(6.0),
    )


def test_scores_are_those_of_scikit_learn() -> None:
    said, true = masks()
    valid = true != 255
    values = measure(METRICS, overlaps()).values
    assert values["mean_iou"] == pytest.approx(jaccard_score(true[valid], said[valid], average="macro"))
    assert values["mean_dice"] == pytest.approx(f1_score(true[valid], said[valid], average="macro"))
    assert values["pixel_accuracy"] == pytest.approx((true[valid] == said[valid]).mean())
    assert values["pixel_log_loss"] == pytest.approx(15.0 / valid.sum())


def test_intervals_hold_the_value() -> None:
    found = measure(METRICS, overlaps(), bootstrap=200)
    for name, value in found.values.items():
        assert value is not None
        assert found.intervals[name].low <= value <= found.intervals[name].high


def test_a_class_of_no_mask_has_no_score() -> None:
    found = overlaps()
    assert np.isnan(class_ious(found.both.sum(0), found.actual.sum(0), found.predicted.sum(0))).tolist() == [
        False,
        False,
        False,
        True,
    ]


def test_the_target_scores_answers_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    said, true = masks()
    target = MaskTarget(classes=list("abcd"), shape=[5, 7], colours=[[0, 0, 0]] * 4)
    answers = np.eye(CLASSES, dtype=np.float32)[said].transpose(0, 3, 1, 2)
    expected = mean_iou(confusion(said, true, CLASSES))
    monkeypatch.setattr("samebits.signature.mask.PIXELS_AT_ONCE", 1)  # an image at a time
    assert target.score(answers, true)["mean_iou"] == pytest.approx(expected, abs=1e-6)
    assert target.class_counts(true, CLASSES) == [int((true == k).sum()) for k in range(CLASSES)]
    assert not target.problem(true)
    true[5, 4, 6] = 4
    assert target.problem(true) == "a pixel is of none of the 4 classes"


def test_decisions_clear_of_a_tie() -> None:
    target = MaskTarget(classes=["a", "b"], shape=[1, 2], colours=[[0, 0, 0]] * 2)
    answers = np.array([[[[0.5, 0.7]], [[0.5, 0.3]]]], dtype=np.float32)
    decided, found = target.decisions(answers)
    assert decided.tolist() == [[[False, True]]]
    assert found is not None
    assert found.shape == (1, 1, 2)
