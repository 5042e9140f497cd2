"""Evaluation and export of a regression on a table: what is written agrees with itself and repeats byte for byte."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine

from samebits.base.decimals import significant
from samebits.checkpoints.serving import ServingModel
from samebits.evaluation.evaluate import evaluate
from samebits.evaluation.importance import Importance
from samebits.evaluation.regression import _columns_that_matter
from samebits.export.export import MEASURED, export
from samebits.params.calibration import CalibrationParams
from samebits.params.evaluate import EvaluateParams
from samebits.params.export import ExportParams
from tests.helpers.table_project import make_table_context

SETTINGS = EvaluateParams(bootstrap=100, batch_size=16, mistakes=5)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The context of a finished evaluation and export."""
    context = make_table_context(tmp_path_factory.mktemp("regression") / "project")
    evaluate(SETTINGS, CalibrationParams(), context=context)
    export(ExportParams(batch_sizes=[1, 7, 33]), context=context)
    return context


def outputs(context: Any) -> dict[str, bytes]:
    folder = context.project.reports / "evaluation"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def table(files: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(files[f"report/{name}"].decode().splitlines()))


@pytest.mark.slow
def test_files_agree_with_each_other(judged: Any) -> None:
    files = outputs(judged)
    assert set(files) == {
        "metrics.json",
        *(f"report/{name}" for name in ("report.html", "predictions.csv", "worst.csv", "importance.csv")),
        *(f"figures/{n}.png" for n in ("predicted", "residuals", "residual_histogram", "importance", "curves")),
    }
    metrics = json.loads(files["metrics.json"])
    predictions = table(files, "predictions.csv")
    assert len(predictions) == metrics["samples"]
    actual, said = (np.array([float(row[key]) for row in predictions]) for key in ("actual", "predicted"))
    spread = ((actual - actual.mean()) ** 2).sum()
    assert metrics["test"]["r2"] == pytest.approx(1 - ((said - actual) ** 2).sum() / spread, abs=1e-4)
    assert metrics["test"]["mae"] == pytest.approx(np.abs(said - actual).mean(), rel=1e-4)
    assert metrics["test"]["r2"] > 0.8
    assert metrics["baseline"]["r2"] == pytest.approx(0.0, abs=0.2)
    assert metrics["baseline"]["rmse"] > metrics["test"]["rmse"]
    worst = table(files, "worst.csv")
    assert float(worst[0]["residual"]) == pytest.approx(max(said - actual, key=abs), rel=1e-3)
    assert [row["index"] for row in worst] == [
        str(k) for k in np.argsort(-np.abs(said - actual), kind="stable")[: len(worst)]
    ]
    assert "town " in worst[0]["sample"]
    for row in worst:
        assert row["id"] == predictions[int(row["index"])]["id"]
        assert row["source"].startswith("houses.csv")


def test_columns_that_matter_come_first(judged: Any) -> None:
    """Price is made of size, town and garden; of a date, all parts are shuffled together."""
    found = [row["column"] for row in table(outputs(judged), "importance.csv")]
    assert set(found) == {"size", "town", "sold", "garden"}
    assert found[0] == "size"
    assert found[-1] == "sold"


def test_the_page_needs_no_network(judged: Any) -> None:
    page = outputs(judged)["report/report.html"].decode()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "<script" not in page
    for word in ("R²", "Worst cases", "Columns that matter", "Median absolute error", "task.delta"):
        assert word in page


def test_it_repeats_byte_for_byte(judged: Any, tmp_path: Path) -> None:
    again = make_table_context(tmp_path / "project")
    evaluate(SETTINGS, CalibrationParams(), context=again)
    assert outputs(again) == outputs(judged)


def test_exports_are_the_checkpoints_equals(judged: Any) -> None:
    report = json.loads((judged.project.exported / "export.json").read_text())
    assert set(report["formats"]) == {"onnx", "torch_export"}
    measured = json.loads((judged.project.state / MEASURED).read_text())["measured"]
    for name, entry in report["formats"].items():
        assert entry["within_tolerance"]
        assert set(measured[name]["largest_difference"]) == {"1", "7", "33"}
        assert max(measured[name]["largest_difference"].values()) < 1e-5
    metrics = json.loads(outputs(judged)["metrics.json"])
    assert report["test"]["r2"] == pytest.approx(metrics["test"]["r2"], abs=1e-5)
    card = (judged.project.exported / "card.md").read_text()
    assert "| 1 | town | category | 0 unknown or missing; then 1 to 3: Bonn, Köln, Ulm |" in card
    assert "NaN where missing" in card


@pytest.mark.slow
def test_classes_of_a_table(tmp_path: Path) -> None:
    """Real wines by their chemistry: the classification evaluator shows rows as text; exports keep the classes."""
    wine = load_wine()
    lines = [",".join([*map(str, row), wine.target_names[k]]) for row, k in zip(wine.data, wine.target, strict=True)]
    header = ",".join([*(name.replace("/", "_") for name in wine.feature_names), "cultivar"])
    text = "\n".join([header, *lines]) + "\n"
    context = make_table_context(tmp_path / "project", text, target="cultivar", split="stratified")
    evaluate(SETTINGS, CalibrationParams(), context=context)
    export(ExportParams(formats=["onnx"], batch_sizes=[7]), context=context)
    files = outputs(context)
    assert json.loads(files["metrics.json"])["test"]["accuracy"] > 0.85
    assert "figures/mistakes.png" not in files
    exported = json.loads((context.project.exported / "export.json").read_text())
    assert exported["test"]["accuracy"] == json.loads(files["metrics.json"])["test"]["accuracy"]
    assert json.loads(files["metrics.json"])["samples"] > 20
    # Three cultivars: 59, 71 and 48 wines.
    baseline = json.loads(files["metrics.json"])["baseline"]
    assert 0.2 < baseline["accuracy"] < 0.6
    assert f"baseline {baseline['accuracy']:.2%}".replace("%", " %") in files["report/report.html"].decode()
    assert "always class_1, the most frequent class" in "\n".join(context.said)


def test_numbers_have_a_comma_at_thousands_and_no_negative_zero() -> None:
    assert [significant(value, 4) for value in (20270.3, 9999.7, 1234567.0, 1234.5, 0.012345, -0.0, 1.23e-7)] == [
        *("20,270", "10,000", "1,234,567", "1,234", "0.01235", "0", "1.23e-07"),
    ]
    assert significant(12.5, 4, "+") == "+12.5"
    assert significant(-99999.9, 4, "+") == "-100,000"


def test_few_columns_are_all_shown(judged: Any) -> None:
    (section,) = _columns_that_matter([Importance("a", -0.00001, 0.0)])
    assert section.rows[0][1] == "0.0000"
    assert not section.after
    assert "importance.csv has them all" not in outputs(judged)["report/report.html"].decode()


def test_equal_answers_keep_their_order_where_their_last_bits_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that says nearly the same of every row, on machines that round differently: no column has an effect."""
    context = make_table_context(tmp_path / "project", steps=0)
    noise = torch.Generator()

    def equal(serving: ServingModel, samples: torch.Tensor) -> torch.Tensor:
        return 0.3 + 1e-15 * torch.randn(len(samples), generator=noise)

    monkeypatch.setattr(ServingModel, "outputs", equal)
    found = []
    for seed in (1, 2):
        noise.manual_seed(seed)
        evaluate(SETTINGS, CalibrationParams(), context=context)
        found.append(outputs(context))
    assert found[0] == found[1]
    assert [row["column"] for row in table(found[0], "importance.csv")] == ["garden", "size", "sold", "town"]
