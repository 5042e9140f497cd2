"""A registered model answers as `samebits.load` does, for each kind of inputs whose answers are rows."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from PIL import Image

import samebits
from samebits.base.errors import UserError
from samebits.export.export import export
from samebits.model_registry.code_archive import code_archive
from samebits.model_registry.model_folder import CODE, save_model
from samebits.models.embedding_bag import Settings
from samebits.params.export import ExportParams
from samebits.signature.mask import MaskTarget
from tests.helpers.registry import make_array_model, make_model
from tests.helpers.table_project import make_table_context
from tests.helpers.text_project import make_text_context, save_untrained

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """What MLflow puts in front of the path to find a model's code."""
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))


def registered(model: Path, folder: Path) -> Any:
    import mlflow.pyfunc

    save_model(model, folder)
    return mlflow.pyfunc.load_model(str(folder))


def same(row: pd.Series[Any], told: Any) -> bool:
    return bool(row["prediction"] == told.label) and row["probabilities"] == told.probabilities


def exported(context: Any) -> Path:
    export(ExportParams(formats=["onnx"], batch_sizes=[3]), context=context)
    return Path(context.project.exported / "model.onnx")


@pytest.mark.slow
def test_images_as_files_as_base64_and_as_arrays(tmp_path: Path) -> None:
    model = make_model(tmp_path / "export" / "model.onnx", 2.0)
    loaded = registered(model, tmp_path / "model")
    picture = np.array([[250, 3], [7, 90]], dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.kron(picture, np.ones((5, 5), dtype=np.uint8))).save(file, "PNG")
    told = samebits.load(model)(picture)
    given = [file.getvalue(), base64.b64encode(file.getvalue()).decode(), picture, picture.tolist()]
    answers = loaded.predict(pd.DataFrame({"image": pd.Series(given, dtype=object)}))
    assert [same(row, told) for _, row in answers.iterrows()] == [True] * 4
    assert answers["probability"].tolist() == [told.top(1)[0][1]] * 4
    assert loaded.metadata.metadata["classes"] == ["light", "dark"]
    # A text is never the path of a file on the server.
    with pytest.raises(Exception, match="no base64"):
        loaded.predict(pd.DataFrame({"image": [str(tmp_path / "x.png")]}))


@pytest.mark.slow
def test_rows_of_a_table_and_a_number_in_its_unit(tmp_path: Path) -> None:
    for target, column in (("price", "prediction"), ("town", "probabilities")):
        model = exported(make_table_context(tmp_path / target, target=target, steps=5))
        loaded = registered(model, tmp_path / f"{target}-model")
        frame = pd.DataFrame(
            {"size": [80, None, 120.5], "town": ["Ulm", "Bern", None], "sold": ["2020-02-29", "2019-01-01", None]}
        ).assign(garden=["yes", True, None], price=[300, 200, 100], unused=1)
        plain = frame.astype(object).where(frame.notna(), None).to_dict("records")
        told = samebits.load(model)(plain)
        found = loaded.predict(frame)[column].tolist()
        if target == "price":
            assert [f"{value:.7g}" for value in found] == [f"{each.values.item():.7g}" for each in told]
        else:
            for row, each in zip(found, told, strict=True):
                assert row == pytest.approx(each.probabilities, abs=1e-6)
        with pytest.raises(Exception, match="sold"):
            loaded.predict(frame.drop(columns="sold"))


@pytest.mark.slow
def test_texts(tmp_path: Path) -> None:
    context = make_text_context(tmp_path / "texts")
    save_untrained(context, Settings(name="embedding_bag"), {"name": "classification"})
    model = exported(context)
    loaded = registered(model, tmp_path / "model")
    texts = ["the dog of house 3", "a cat " * 40, "Käse"]
    answers = loaded.predict(pd.DataFrame({"text": texts}))
    for (_, row), each in zip(answers.iterrows(), samebits.load(model)(texts), strict=True):
        assert row["prediction"] == each.label
        assert row["probabilities"] == pytest.approx(each.probabilities, abs=1e-6)
    assert (tmp_path / "model" / "tokenizer.json").is_file()


def test_arrays(tmp_path: Path) -> None:
    model = make_array_model(tmp_path / "export" / "model.onnx")
    loaded = registered(model, tmp_path / "model")
    arrays = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert loaded.predict(arrays)["prediction"].tolist() == [3.0, 12.0, 21.0, 30.0]


def test_a_model_whose_answers_are_no_rows_is_the_graph(tmp_path: Path) -> None:
    model = make_model(tmp_path / "export" / "model.onnx", 2.0)
    graph = onnx.load(str(model))
    target = MaskTarget(classes=["light", "dark"], shape=[2, 2], colours=[[0, 0, 0], [255, 255, 255]])
    next(each for each in graph.metadata_props if each.key == "target").value = target.model_dump_json()
    onnx.save(graph, str(model))
    loaded = registered(model, tmp_path / "model")
    assert loaded.predict({"images": np.zeros((3, 1, 2, 2), dtype=np.uint8)})["probabilities"].shape == (3, 2)
    assert not (tmp_path / "model" / CODE).exists()


def test_the_file_is_as_exported_and_the_archive_the_same_each_time(tmp_path: Path) -> None:
    model = make_model(tmp_path / "export" / "model.onnx", 2.0)
    (model.parent / "model.pt2").write_bytes(b"weights once more")
    save_model(model, tmp_path / "model")
    assert (tmp_path / "model" / "model.onnx").read_bytes() == model.read_bytes()
    assert (tmp_path / "model" / "card.md").is_file()
    assert not (tmp_path / "model" / "model.pt2").exists()
    loader, archive = code_archive()
    assert code_archive() == (loader, archive)
    assert (tmp_path / "model" / CODE).read_bytes() == archive
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert not any(name.startswith("samebits/") for name in opened.namelist())
        assert f"{loader.replace('.', '/')}.py" in opened.namelist()


def test_a_file_that_export_did_not_write_is_refused(tmp_path: Path) -> None:
    model = make_model(tmp_path / "export" / "model.onnx", 2.0)
    graph = onnx.load(str(model))
    del graph.metadata_props[:]
    onnx.save(graph, str(model))
    with pytest.raises(UserError, match="the export stage did not write it"):
        save_model(model, tmp_path / "model")
