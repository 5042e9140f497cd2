"""What a model goes by, of models of which that is known."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from samebits.demo.form import Form, form_for
from samebits.demo.influence import effects, explain
from samebits.inference.predictor import Request
from samebits.inference.request import kind_for
from samebits.signature.classes import ClassTarget
from samebits.signature.vector import VectorTarget
from tests.helpers.onnx_models import array_model, brightness_model, mask_model, sum_model
from tests.helpers.onnx_texts import word_model


def form(model: Path) -> Form:
    return form_for(kind_for(Request(model)))


def explained(model: Path, value: Any, label: int | None = None) -> dict[str, Any]:
    here = form(model)
    return explain(here, here.kind.of_value(value, "x"), label)


@pytest.mark.parametrize("deep", [False, True])
def test_of_an_image_the_bright_half_speaks_for_its_side_and_the_other_against_it(deep: bool, tmp_path: Path) -> None:
    more = {"preprocessing": {"shape": [1, 16, 16], "mean": [0.0], "bits": 16}} if deep else {}
    model = brightness_model(tmp_path / "m.onnx", (1, 16, 16), 0.0, **more)
    pixels = np.full((16, 16), 52, dtype=np.uint8)
    pixels[8:, :8] = 64
    file = io.BytesIO()
    np.save(file, pixels.astype(np.uint16) * 257 if deep else pixels)
    found = explained(model, file.getvalue())
    heat = np.array(found["map"])
    assert heat.shape == (14, 14)
    assert heat[9:, :5].min() > 5 * abs(heat[:, 9:]).max()  # bright, of the class's side
    assert heat[9:, 9:].max() < 0  # light that speaks for the other side
    assert "left" in found["least"]
    other = np.array(explained(model, file.getvalue(), 1)["map"])
    assert other[9:, :5].max() < 0 < other[9:, 9:].min()


def test_of_a_text_the_word_that_decides(tmp_path: Path) -> None:
    model = word_model(tmp_path, {"prize": 3.0, "the": 0.0, "friend": -1.0})
    found = explained(model, "the prize,  friend!")["words"]
    assert "".join(text for text, _ in found) == "the prize,  friend!"
    effect = {text: value for text, value in found if value is not None}
    assert effect["prize"] > 0.5 > effect["the"] == effect[","] == 0.0 > effect["friend"]
    assert "ham" in explained(model, "the prize,  friend!")["least"].split()[0]
    alone = explained(model, "prize")["words"]
    assert [list(each) for each in alone] == [["prize", 0.0]]  # nothing is left to ask about


def test_of_a_long_text_several_words_at_a_time(tmp_path: Path) -> None:
    model = word_model(tmp_path, {"prize": 3.0})
    text = "x " * 10 + "prize " + "y " * 1000
    found = [each for each in explained(model, text)["words"] if each[1] is not None]
    assert 100 < len(found) <= 200
    assert [text for text, effect in found if effect > 0.1] == [found[1][0]]
    assert "prize" in found[1][0]


def test_of_a_row_each_column_against_what_is_typical(tmp_path: Path) -> None:
    model = sum_model(tmp_path / "m.onnx", ("a", "b", "c"))
    found = explained(model, {"a": 10, "b": -3, "c": 0})
    assert found["columns"] == [["a", 10.0], ["b", -3.0], ["c", 0.0]]
    assert found["least"] == "total -3"


def test_a_category_is_compared_with_its_other_values_and_a_date_is_one_column(tmp_path: Path) -> None:
    path = sum_model(tmp_path / "m.onnx", ("a", "b", "c"))
    model = onnx.load(str(path))
    columns = [
        {"kind": "category", "name": "town", "values": ["Bonn", "Ulm", "Köln"]},
        {"kind": "number", "name": "day.month", "fill": 5.0, "source": "day", "part": "month", "mean": 0, "std": 1},
        {"kind": "number", "name": "day.day", "fill": 15.0, "source": "day", "part": "day", "mean": 0, "std": 1},
    ]
    for each in model.metadata_props:
        if each.key == "preprocessing":
            each.value = json.dumps(json.loads(each.value) | {"columns": columns})
    onnx.save(model, str(path))
    found = explained(path, {"town": "Köln", "day": "2020-07-20"})["columns"]
    assert found == [["town", 3 - (1 + 2) / 2], ["day", 7 - 5 + 20 - 15.0]]
    fields = form(path).fields["columns"]
    assert [each["name"] for each in fields] == ["town", "day"]
    assert explained(path, {"town": "Ulm", "day": fields[1]["date"]}).get("error") is None


def test_of_an_array_the_place_that_decides(tmp_path: Path) -> None:
    found = explained(array_model(tmp_path / "m.onnx"), [[5, 0, 0], [0, 0, 1]])
    assert np.array(found["map"]).shape == (1, 3)
    assert min(found["map"][0]) > 0  # one window covers three values


def test_of_a_mask_the_pixels_whose_class_it_says(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8), dtype=np.uint8)
    pixels[5:, 5:] = 255
    heat = np.array(explained(mask_model(tmp_path / "m.onnx"), pixels.tolist())["map"])
    assert heat[6:, 6:].min() > 0.01
    assert abs(heat[:3, :3]).max() < 1e-6


def test_effects_of_several_numbers_are_how_far_they_move() -> None:
    target = VectorTarget(name="v", mean=[0.0, 10.0], std=[1.0, 5.0])
    answers = np.array([[1, 10], [1, 10], [0, 10], [1, 15]], dtype=np.float32)
    np.testing.assert_allclose(effects(target, answers), [0, 0.5**0.5, 0.5**0.5])


def test_effects_of_a_certain_class_are_finite() -> None:
    found = effects(ClassTarget(classes=["a", "b"]), np.array([[1, 0], [0, 1]], dtype=np.float32), 1)
    assert np.isfinite(found).all()
    assert found[0] < -10


def test_what_cannot_be_used_is_said_and_what_has_answers_of_its_own_is_not_taken_apart(tmp_path: Path) -> None:
    assert explained(sum_model(tmp_path / "s.onnx"), {"a": 1})["error"].startswith("it has no b")
    assert explained(brightness_model(tmp_path / "b.onnx"), b"no image")["error"]
    assert explained(word_model(tmp_path, {"a": 1.0}), "  ")["error"] == "it is empty"
    assert not form(word_model(tmp_path, {"a": 1.0}, tags=True)).explains
