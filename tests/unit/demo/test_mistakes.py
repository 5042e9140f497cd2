"""Mistakes near a sample: found by the report, taken from the prepared data, answered by this very model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from samebits.data.loading.prepared import open_split
from samebits.data.preparation.shards import write_prepared
from samebits.demo.form import form_for
from samebits.demo.mistakes import Mistakes, find_mistakes
from samebits.inference.predictor import Request
from samebits.inference.request import kind_for
from tests.helpers.onnx_models import brightness_model, sum_model
from tests.helpers.tables import csv_text, prepare

ABOUT = {"name": "sums", "title": "Sums", "licence": "none", "files": []}


def project(root: Path, target: str) -> Path:
    """A project on a table, with a report; its model adds `a` and `b`, or says which is larger (`x` for a). Every fifth
    sample has a wrong target."""
    random = np.random.default_rng(0)
    pairs = random.integers(0, 9, (100, 2)) + np.array([0.5, 0.0])
    right = [f"{a + b}" if target == "total" else "xy"[int(b > a)] for a, b in pairs]
    wrong = [f"{a + b + 100}" if target == "total" else "yx"[int(b > a)] for a, b in pairs]
    body = [[str(a), str(b), (right, wrong)[k % 5 == 0][k]] for k, (a, b) in enumerate(pairs)]
    root.mkdir(exist_ok=True)
    (root / "sums.csv").write_text(csv_text(body, ("a", "b", target)))
    _, encoded = prepare(root / "sums.csv", target=target)
    write_prepared(root / "data" / "prepared", ABOUT, encoded, shard_mib=1)
    split = open_split(root / "data" / "prepared", "test", in_memory=True)
    rows = split.rows(np.arange(len(split)))
    report = root / "reports" / "evaluation" / "report"
    report.mkdir(parents=True)
    lines = ["index,actual,predicted," + ("residual" if target == "total" else "confidence")]
    for k, (row, actual) in enumerate(zip(rows, split.targets if split.targets is not None else (), strict=True)):
        said = f"{row.sum():.3f}" if target == "total" else "xy"[int(row[1] > row[0])]
        true = f"{actual}" if target == "total" else "xy"[int(actual)]
        lines.append(f"{k},{true},{said},{row.sum() - actual if target == 'total' else 0.9}")
    (report / "predictions.csv").write_text("\n".join(lines) + "\n")
    model = root / "models" / "export" / "model.onnx"
    model.parent.mkdir(parents=True)
    kind = {"kind": "class", "classes": ["x", "y"]}
    return sum_model(model, target=None if target == "total" else kind)


def found(model: Path) -> Mistakes | None:
    return find_mistakes(model, form_for(kind_for(Request(model))))


def test_of_classes_those_that_are_wrong_with_the_nearest_probabilities_first(tmp_path: Path) -> None:
    mistakes = found(project(tmp_path, "larger"))
    assert mistakes is not None
    assert 0 < len(mistakes) < 10
    for true, said, answer in zip(mistakes.true, mistakes.said, mistakes.answers, strict=True):
        assert {true, said} == {"x", "y"}
        assert said == "xy"[int(answer.argmax())]
    answer = np.array([0.3, 0.7], dtype=np.float32)
    first, *rest = mistakes.nearest(answer, 3)
    nearest = np.abs(mistakes.answers[:, 0] - 0.3).argmin()
    assert first == {
        "picture": None,
        "text": mistakes.previews[nearest].text,
        "true": mistakes.true[nearest],
        "said": mistakes.said[nearest],
    }
    assert first["text"].startswith("a ")
    assert len(rest) == min(2, len(mistakes) - 1)


def test_of_numbers_those_that_are_far_off_with_the_nearest_number_first(tmp_path: Path) -> None:
    mistakes = found(project(tmp_path, "total"))
    assert mistakes is not None
    near = mistakes.nearest(mistakes.answers[1])
    assert near[0]["text"] == mistakes.previews[1].text
    assert float(near[0]["said"]) == pytest.approx(float(mistakes.answers[1]))
    assert all(float(each["true"]) > float(each["said"]) + 90 for each in near)
    assert len(near) == len(mistakes) == 2  # a tenth of 20 test samples


def test_a_sample_that_this_model_gets_right_is_no_mistake(tmp_path: Path) -> None:
    model = project(tmp_path, "larger")
    before = found(model)
    predictions = tmp_path / "reports" / "evaluation" / "report" / "predictions.csv"
    lines = predictions.read_text().replace("x,x", "x,y").replace("y,y", "y,x")  # of a model that is always wrong
    predictions.write_text(lines)
    after = found(model)
    assert before is not None
    assert after is not None
    assert before.previews == after.previews


@pytest.mark.parametrize("absent", ["reports", "data", "reports/evaluation/report/predictions.csv"])
def test_without_a_report_or_its_data_there_are_none(absent: str, tmp_path: Path) -> None:
    model = project(tmp_path, "larger")
    (shutil.rmtree if (tmp_path / absent).is_dir() else Path.unlink)(tmp_path / absent)
    assert found(model) is None


@pytest.mark.parametrize(
    "text", ["", "index\n1\n", "index,actual,predicted\n999999,x,y\n", "index,actual,predicted\nz,x,y\n"]
)
def test_a_report_of_something_else_is_none(text: str, tmp_path: Path) -> None:
    model = project(tmp_path, "larger")
    (tmp_path / "reports" / "evaluation" / "report" / "predictions.csv").write_text(text)
    assert found(model) is None


def test_the_data_of_another_model_are_not_its_own(tmp_path: Path) -> None:
    model = project(tmp_path, "larger")
    assert found(brightness_model(model)) is None
    kind = {"kind": "class", "classes": ["x", "y"]}
    assert found(sum_model(model, ("a", "b", "c"), kind | {"classes": ["x", "y", "z"]})) is None
