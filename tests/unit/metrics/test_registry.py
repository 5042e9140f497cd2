"""One metric is one entry: whatever shows, keeps or compares metrics reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from samebits.evaluation.evaluate import evaluate
from samebits.metrics.classification import METRICS, Predictions
from samebits.metrics.metric import Metric, four_decimals, per_sample
from samebits.metrics.own import TAKEN
from samebits.metrics.registry import directions, every_metric, headlines
from samebits.model_registry.gate import pick_metric
from samebits.params.calibration import CalibrationParams
from samebits.params.evaluate import EvaluateParams
from samebits.pipeline.summary import metric_values
from samebits.tracking.upload.description import describe


def brier(predictions: Predictions) -> np.ndarray:
    return np.asarray((predictions.confidence - predictions.correct) ** 2)


@pytest.fixture
def with_brier() -> Iterator[None]:
    METRICS.append(Metric("brier_score", "Brier score", four_decimals, "lower", per_sample(brier), headline=True))
    yield
    METRICS.pop()


@pytest.mark.usefixtures("with_brier")
def test_one_entry_adds_a_metric_everywhere(tiny_context: Any) -> None:
    evaluate(EvaluateParams(bootstrap=100, batch_size=16, mistakes=5), CalibrationParams(), context=tiny_context)
    folder = tiny_context.project.reports / "evaluation"
    found = json.loads((folder / "metrics.json").read_text())
    value, interval = found["test"]["brier_score"], found["interval"]["brier_score"]
    assert interval["low"] < value < interval["high"]
    assert 0.0 < value < 2.0
    assert found["baseline"]["brier_score"] > 0.0
    page = (folder / "report" / "report.html").read_text()
    assert "Brier score" in page
    assert f"{value:.4f}" in page
    assert "brier_score" in metric_values(found)[0]
    assert directions()["brier_score"] == "lower"
    assert pick_metric(found["test"], "brier_score") == "brier_score"
    assert "**test/brier_score**" in describe({}, {"test/brier_score": value}, {}, "run")


def test_names_of_ours_are_taken() -> None:
    ours = {metric.name for metric in every_metric()}
    assert {name for name in ours if "{" not in name} == TAKEN
    assert {name for name in ours if "{" in name} == {"top_{p.top_k}_accuracy"}


def test_what_decides_by_default() -> None:
    assert pick_metric({"log_loss": 1.0, "macro_f1": 0.5, "accuracy": 0.5}) == "accuracy"
    assert pick_metric({"bias": 1.0, "mae": 1.0, "rmse": 1.0}) == "rmse"
    assert pick_metric({"calibration_error": 0.1, "bias": 0.1, "median_absolute_error": 0.1}) is None
    assert pick_metric({"pixel_log_loss": 1.0, "pixel_accuracy": 0.5, "mean_iou": 0.5}) == "mean_iou"
    assert pick_metric({"tag_log_loss": 1.0, "tag_accuracy": 0.5, "entity_f1": 0.5}) == "entity_f1"
    assert pick_metric({"tag_log_loss": 1.0, "tag_macro_f1": 0.5, "tag_accuracy": 0.5}) == "tag_accuracy"
    assert headlines() == {
        "accuracy",
        "macro_f1",
        "micro_f1",
        "log_loss",
        "r2",
        "rmse",
        "rmse_in_std",
        "perplexity",
        "mean_iou",
        "pixel_accuracy",
        "entity_f1",
        "tag_accuracy",
    }


def test_a_name_that_two_kinds_of_target_share_is_better_at_the_same_end() -> None:
    ends = {(metric.name, metric.better) for metric in every_metric()}
    assert len(ends) == len({name for name, _ in ends})
