"""The exported model answers, file by file, what the evaluation wrote of the test split, in each digit it prints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samebits.data.loading.prepared import open_split
from samebits.evaluation.evaluate import evaluate
from samebits.export.export import export
from samebits.models.embedding_bag import Settings as Bag
from samebits.params.calibration import CalibrationParams
from samebits.params.evaluate import EvaluateParams
from samebits.params.export import ExportParams
from tests.helpers.image_project import make_context
from tests.helpers.same_answers import evaluated, line_of, predicted, same_number, same_share
from tests.helpers.table_project import make_table_context
from tests.helpers.text_project import make_text_context, save_untrained

SETTINGS = EvaluateParams(bootstrap=100, mistakes=3)
EXPORT = ExportParams(formats=["onnx"], batch_sizes=[7])


@pytest.mark.parametrize("target", ["price", "town"])
def test_rows(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = make_table_context(tmp_path / "project", target=target, steps=20)
    evaluate(SETTINGS, CalibrationParams(), context=context)
    export(EXPORT, context=context)
    told = predicted(context.project, capsys, tmp_path / "project" / "houses.csv")
    wrote = evaluated(context.project)
    assert len(wrote) > 20
    for row in wrote:
        answer = told[line_of(row) - 1]
        if target == "price":
            assert same_number(answer["prediction"], row["predicted"]), (answer, row)
        else:
            assert answer["prediction"] == row["predicted"]
            assert same_share(answer["probability"], row["confidence"]), (answer, row)


def test_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = make_context(tmp_path / "project")
    evaluate(SETTINGS, CalibrationParams(), context=context)
    export(EXPORT, context=context)
    split = open_split(context.project.prepared, "test", in_memory=True)
    (tmp_path / "test").mkdir()
    for number, image in enumerate(split.rows(np.arange(len(split)))):
        Image.fromarray(image[0]).save(tmp_path / "test" / f"{number:03}.png")
    told = predicted(context.project, capsys, tmp_path / "test")
    wrote = evaluated(context.project)
    assert len(told) == len(wrote) == 60
    for answer, row in zip(told, wrote, strict=True):
        assert answer["prediction"] == row["predicted"]
        assert same_share(answer["probability"], row["confidence"]), (answer, row)


@pytest.mark.slow
def test_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = make_text_context(tmp_path)
    save_untrained(context, Bag(name="embedding_bag", width=4, ngrams=2, buckets=64), {"name": "classification"})
    evaluate(SETTINGS, CalibrationParams(), context=context)
    export(EXPORT, context=context)
    folder = tmp_path / "data" / "raw" / "animals"
    told = {row["name"]: row for row in predicted(context.project, capsys, folder)}
    wrote = evaluated(context.project)
    assert len(wrote) >= 10
    for row in wrote:
        answer = told[str(folder.parent / row["source"])]
        assert answer["prediction"] == row["predicted"]
        assert same_share(answer["probability"], row["confidence"]), (answer, row)
