"""Mistakes near a sample: found by the report, taken from the prepared data, answered by this very model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from samebits.data.loading.prepared import open_split
from samebits.data.preparation.shards import write_prepared
from samebits.demo.form import form_for
from samebits.demo.mistakes import Mistakes, _worst, find_mistakes, point_of
from samebits.demo.pictures import png_url
from samebits.inference.predictor import Request
from samebits.inference.request import kind_for
from samebits.signature.kind import Preview
from samebits.signature.mask import MaskTarget
from samebits.signature.tags import TagsTarget
from tests.helpers.onnx_models import brightness_model, mask_model, sum_model
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
    for true, said, answer in zip(mistakes.true, mistakes.said, mistakes.points, strict=True):
        assert {true, said} == {"x", "y"}
        assert said == "xy"[int(np.argmax(answer))]  # type: ignore[arg-type]
    answer = np.array([0.3, 0.7], dtype=np.float32)
    first, *rest = mistakes.nearest(answer, 3)
    nearest = np.abs(np.stack(mistakes.points)[:, 0] - 0.3).argmin()  # type: ignore[arg-type]
    assert first == {
        "picture": None,
        "right": None,
        "alone": False,
        "text": mistakes.previews[nearest].text,
        "true": mistakes.true[nearest],
        "said": mistakes.said[nearest],
    }
    assert first["text"].startswith("a ")
    assert len(rest) == min(2, len(mistakes) - 1)


def test_of_numbers_those_that_are_far_off_with_the_nearest_number_first(tmp_path: Path) -> None:
    mistakes = found(project(tmp_path, "total"))
    assert mistakes is not None
    near = mistakes.nearest(mistakes.points[1])
    assert near[0]["text"] == mistakes.previews[1].text
    assert float(near[0]["said"]) == pytest.approx(mistakes.points[1][0] * mistakes.target.unit)  # type: ignore[index]
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


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("index,iou,accuracy\n0,0.9,1\n1,0.2,1\n2,1.0,1\n3,0.5,1\n", [1]),  # a tenth, at least one
        ("index,words,accuracy\n0,3,1.000000\n1,3,0.5\n2,4,0.75\n", [1, 2]),
    ],
)
def test_masks_far_off_and_texts_with_a_wrong_tag_are_mistakes(text: str, places: list[int], tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text(text)
    assert _worst(tmp_path / "predictions.csv") == places


def test_of_masks_those_with_the_most_similar_layout_first_with_what_is_right(tmp_path: Path) -> None:
    target = MaskTarget(classes=["paper", "ink"], shape=[8, 8], colours=[[0, 0, 0], [255, 0, 0]])
    form = form_for(kind_for(Request(mask_model(tmp_path / "m.onnx"))))
    ink = np.zeros((3, 8, 8), dtype=np.float32)
    ink[0, :4], ink[1, 4:], ink[2, 4:7] = 1, 1, 1
    points = [point_of(form, np.stack([1 - each, each]), None) for each in ink]
    masks = [(each.astype(np.uint8), np.zeros((8, 8), np.uint8)) for each in ink]
    previews = [Preview(image=np.full((1, 8, 8), k, np.uint8)) for k in range(3)]
    found = Mistakes(target, points, previews, [""] * 3, ["upper", "lower", "less"], masks)
    told = found.nearest(points[2], 2)
    assert [each["said"] for each in told] == ["less", "lower"]
    assert told[0]["right"] == png_url(target.overlay(np.full((1, 8, 8), 2, np.uint8), masks[2][1]))
    assert told[0]["picture"] != told[0]["right"]


def test_of_tagged_texts_those_with_the_most_in_common_first() -> None:
    target = TagsTarget(classes=["O", "B-X"], length=4)
    points = [frozenset({1, 2, 3}), frozenset({1, 9}), frozenset({7, 8})]
    texts = [Preview(text=name) for name in ("three", "one", "none")]
    found = Mistakes(target, points, texts, [""] * 3, ["word 1"] * 3)
    told = found.nearest(frozenset({1, 2}))
    assert [each["text"] for each in told] == ["three", "one", "none"]
    assert all(each["alone"] for each in told)
